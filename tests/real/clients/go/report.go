package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// report is the way to the runner.
type report struct {
	mutex sync.Mutex
	out   io.Writer
	in    *bufio.Scanner
}

func newReport(out io.Writer, in io.Reader) *report {
	return &report{out: out, in: bufio.NewScanner(in)}
}

// say tells a fact. Labels are for the table of known differences, which names them.
func (r *report) say(label, format string, args ...any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	value := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", `\n`)
	fmt.Fprintf(r.out, "%s: %s\n", label, normal(value))
}

// sayAll tells several facts of one label, numbered.
func (r *report) sayAll(label string, values []string) {
	for number, value := range values {
		r.say(fmt.Sprintf("%s %d", label, number+1), "%s", value)
	}
}

// sayJSON tells a value whole.
func (r *report) sayJSON(label string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		text = []byte(err.Error())
	}
	r.say(label, "%s", text)
}

// outcome tells how a request ended.
func (r *report) outcome(label string, err error) {
	r.say(label, "%s", outcome(err))
}

// pull asks the runner for a lever and waits until it is pulled.
func (r *report) pull(lever string) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	fmt.Fprintf(r.out, "@pull %s\n", lever)
	if !r.in.Scan() {
		return errors.New("the runner is gone")
	}
	return nil
}

var (
	uid     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	version = regexp.MustCompile(`([rR]esource ?[vV]ersion: )\d+( \(\d+\))?`)
	current = regexp.MustCompile(`(current: |in record \()\d+`)
	quoted  = regexp.MustCompile(`(resourceVersion\\*":\\*")\d+`)
	clock   = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	address = regexp.MustCompile(`https?://127\.0\.0\.1:\d+`)
)

// normal replaces what differs from run to run by words.
func normal(text string) string {
	text = uid.ReplaceAllString(text, "UID")
	text = version.ReplaceAllString(text, "${1}N")
	text = current.ReplaceAllString(text, "${1}N")
	text = quoted.ReplaceAllString(text, "${1}N")
	text = clock.ReplaceAllString(text, "TIME")
	return address.ReplaceAllString(text, "SERVER")
}

// outcome is `ok`, or the Status that an error carries.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return "error: " + err.Error()
	}
	s := status.Status()
	text := fmt.Sprintf("%d %s %q", s.Code, s.Reason, s.Message)
	if d := s.Details; d != nil {
		text += fmt.Sprintf(" details=%s/%s/%s", d.Group, d.Kind, d.Name)
		if d.RetryAfterSeconds > 0 {
			text += fmt.Sprintf(" retry=%ds", d.RetryAfterSeconds)
		}
		for _, cause := range d.Causes {
			text += fmt.Sprintf(" cause=%s@%s %q", cause.Type, cause.Field, cause.Message)
		}
	}
	return text
}
