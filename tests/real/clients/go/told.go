package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// lines grow while a case runs, and can be waited for.
type lines struct {
	mutex sync.Mutex
	all   []string
	taken int
}

func (l *lines) add(line string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.all = append(l.all, line)
}

// take waits for as many lines as that after those taken before, and takes all that there are.
func (l *lines) take(ctx context.Context, count int) ([]string, error) {
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	for {
		l.mutex.Lock()
		if len(l.all)-l.taken >= count {
			taken := slices.Clone(l.all[l.taken:])
			l.taken = len(l.all)
			l.mutex.Unlock()
			return taken, nil
		}
		l.mutex.Unlock()
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waited for %d lines: %v", count, l.all)
		case <-ticks.C:
		}
	}
}

// told is what a handler was told, a line an event: objects show their annotation `v`.
type told struct {
	lines
	versions map[string]string
}

// handler records. It runs in one goroutine, as client-go promises.
func (t *told) handler() cache.ResourceEventHandler {
	t.versions = map[string]string{}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, initial bool) {
			name, value := t.see(object)
			t.add(fmt.Sprintf("added %s v=%s initial=%t", name, value, initial))
		},
		UpdateFunc: func(old, object any) {
			_, before := shown(old)
			name, _ := shown(object)
			known := t.versions[name]
			_, value := t.see(object)
			t.add(fmt.Sprintf("updated %s v=%s->%s version %s", name, before, value, relation(known, t.versions[name])))
		},
		DeleteFunc: func(object any) {
			kind := ""
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object, kind = tombstone.Obj, " tombstone"
			}
			name, _ := shown(object)
			known := t.versions[name]
			_, value := t.see(object)
			t.add(fmt.Sprintf("deleted %s v=%s version %s%s", name, value, relation(known, t.versions[name]), kind))
		},
	}
}

// see returns name and value, and keeps the version.
func (t *told) see(object any) (string, string) {
	name, value := shown(object)
	if it, err := meta.Accessor(object); err == nil {
		t.versions[name] = it.GetResourceVersion()
	}
	return name, value
}

func shown(object any) (name, value string) {
	it, err := meta.Accessor(object)
	if err != nil {
		return fmt.Sprintf("%T", object), ""
	}
	return it.GetName(), it.GetAnnotations()["v"]
}

// requests records what goes over a configuration's wire, once it is answered.
type requests struct{ lines }

// watched returns a copy of the configuration that records its requests.
func (r *requests) watched(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(request)
			if err == nil {
				r.add(fmt.Sprintf("%s -> %d", described(request), response.StatusCode))
			}
			return response, err
		})
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// described shows a request by what a server decides about.
func described(request *http.Request) string {
	query := request.URL.Query()
	verb := request.Method
	if verb == http.MethodGet {
		verb = "list"
	}
	if query.Get("watch") != "" {
		verb = "watch"
	}
	line := verb
	for _, name := range []string{"sendInitialEvents", "resourceVersion", "resourceVersionMatch", "limit", "continue"} {
		value := query.Get(name)
		switch {
		case value == "":
			continue
		case name == "resourceVersion" && value != "0", name == "continue":
			value = "N"
		}
		line += fmt.Sprintf(" %s=%s", name, value)
	}
	return line
}

// configMap makes one whose annotation `v` is the value.
func configMap(name, value string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{"v": value}},
		Data:       map[string]string{"v": value},
	}
}

// pod makes one that a real server takes.
func pod(name, value string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{"v": value}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "example.invalid/none"}},
		},
	}
}

// steps runs one after another and stops at the first that fails.
func steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
