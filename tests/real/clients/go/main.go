// Cases of client-go, for the suite that holds the embedded API server to a real one's answers.
//
// A case prints facts on standard output, a line `label: value` each, and says nothing of uids, versions and
// times but how they relate. It asks for a lever with a line `@pull NAME` and goes on at the next line of
// standard input. The runner, ../../suite/clients, compares the facts; nothing is asserted here.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// A testCase is a function of the server, under a name that the runner's table has too.
type testCase struct {
	name string
	run  func(*env) error
	// lists is whether informers are kept from streaming lists.
	lists bool
}

var cases = slices.Concat(informerCases, customCases, readCases, writeCases, applyCases, otherCases)

// env is what a case works with.
type env struct {
	*report
	ctx context.Context
	// direct goes to the server; proxied goes through what the runner can cut.
	direct, proxied *rest.Config
	client          *kubernetes.Clientset
	dynamic         *dynamic.DynamicClient
	namespace       string
	// lists is whether informers list and watch, in place of streaming lists.
	lists bool
}

// limit of a whole case: a real server restarts within ten seconds.
const deadline = 90 * time.Second

func main() {
	direct := flag.String("kubeconfig", "", "kubeconfig `file` of the server")
	proxied := flag.String("proxied", "", "kubeconfig `file` of the same server through a proxy")
	name := flag.String("case", "", "`name` of the case")
	namespace := flag.String("namespace", "", "`namespace` of the case")
	names := flag.Bool("cases", false, "print the names of all cases, and end")
	flag.Parse()
	if *names {
		for _, it := range cases {
			fmt.Println(it.name)
		}
		return
	}
	if err := run(*direct, *proxied, *name, *namespace); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", *name, err)
		os.Exit(1)
	}
}

func run(direct, proxied, name, namespace string) error {
	index := slices.IndexFunc(cases, func(it testCase) bool { return it.name == name })
	if index < 0 {
		return fmt.Errorf("no such case: %q", name)
	}
	if cases[index].lists {
		// client-go reads its feature gates from the environment, at the first use.
		if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
			return err
		}
	}
	klog.LogToStderr(false)
	klog.SetOutput(os.Stderr)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	e := &env{report: newReport(os.Stdout, os.Stdin), ctx: ctx, namespace: namespace, lists: cases[index].lists}
	var err error
	if e.direct, err = load(direct); err != nil {
		return err
	}
	if e.proxied, err = load(proxied); err != nil {
		return err
	}
	if e.client, err = kubernetes.NewForConfig(e.direct); err != nil {
		return err
	}
	if e.dynamic, err = dynamic.NewForConfig(e.direct); err != nil {
		return err
	}
	return cases[index].run(e)
}

func load(file string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return nil, err
	}
	// The default of five requests a second is for bad neighbours.
	config.QPS = -1
	config.UserAgent = "cases"
	return config, nil
}

// relation says how a resourceVersion changed.
func relation(before, after string) string {
	switch {
	case before == after:
		return "same"
	case len(before) < len(after) || len(before) == len(after) && strings.Compare(before, after) < 0:
		return "grew"
	default:
		return "shrank"
	}
}
