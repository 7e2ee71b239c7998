// Measures a client-go informer on the replay server and prints one JSON object, like `tidings measure`.
//
// The informer is a shared one with an index by namespace and one handler. Latency ends in the
// handler, which client-go calls after the store has been updated.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// options are the flags.
type options struct {
	server     string
	kubeconfig string
	mode       string
	list       string
	prune      bool
	protobuf   bool
	load       int
	events     int
	annotation string
	getBench   int
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "", "URL of the replay server")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "a kubeconfig, in place of -server")
	flag.IntVar(&o.load, "load", 0, "measure nothing: create this many pods, and end")
	flag.StringVar(&o.mode, "mode", "typed", "typed or dynamic")
	flag.StringVar(&o.list, "list", "watchlist", "watchlist (client-go's default) or list")
	flag.BoolVar(&o.prune, "prune", false, "drop managedFields with a transform")
	flag.BoolVar(&o.protobuf, "protobuf", false, "ask for protobuf, with -mode typed; the replay server has JSON alone")
	flag.IntVar(&o.events, "events", 0, "after the sync, wait for this many events")
	flag.StringVar(&o.annotation, "latency-annotation", "tidings.dev/sent-at", "where events carry their send time")
	flag.IntVar(&o.getBench, "get-bench", 0, "read the store for this many seconds from a goroutine of its own")
	flag.Parse()
	if o.load > 0 {
		if err := load(o); err != nil {
			fmt.Fprintf(os.Stderr, "tidings-peer-client-go: %v\n", err)
			os.Exit(1)
		}
		return
	}
	report, err := measure(o)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "tidings-peer-client-go: %v\n", err)
		os.Exit(1)
	}
}

// measure runs the informer until the handler has seen the whole list and, if asked for, all events.
func measure(o options) (map[string]any, error) {
	informer, err := newInformer(o)
	if err != nil {
		return nil, err
	}
	latencies := newLatencies(o.events)
	failed := make(chan error, 1)
	err = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		select {
		case failed <- fmt.Errorf("the reflector failed: %w", err):
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	if o.prune {
		if err := informer.SetTransform(prune); err != nil {
			return nil, err
		}
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) {},
		UpdateFunc: func(_, object any) { latencies.take(object, o.annotation) },
	})
	if err != nil {
		return nil, err
	}
	start := time.Now()
	go informer.RunWithContext(context.Background())
	select {
	case <-registration.HasSyncedChecker().Done():
	case err := <-failed:
		return nil, err
	}
	report := map[string]any{
		"sync_wall_ms": float64(time.Since(start).Microseconds()) / 1e3,
		"list_bytes":   0,
		"objects":      len(informer.GetStore().ListKeys()),
	}
	putSync(report, usageNow())
	if latencies.len() > 0 {
		return nil, errors.New("an event came before the store was synced")
	}
	switch {
	case o.getBench > 0:
		report["get_ns"] = readStore(informer.GetIndexer(), time.Duration(o.getBench)*time.Second)
		latencies.put(report)
	case o.events > 0:
		select {
		case <-latencies.done:
		case err := <-failed:
			return nil, err
		}
		latencies.put(report)
	}
	return report, nil
}

// newInformer makes a shared informer on the pods of the replay server.
func newInformer(o options) (cache.SharedIndexInformer, error) {
	switch o.list {
	case "watchlist", "list":
		// client-go reads its feature gates from the environment, at the first use.
		if err := os.Setenv("KUBE_FEATURE_WatchListClient", strconv.FormatBool(o.list == "watchlist")); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("unknown -list %s", o.list)
	}
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	indexers := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	switch o.mode {
	case "typed":
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		return coreinformers.NewPodInformer(client, "", 0, indexers), nil
	case "dynamic":
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
		return dynamicinformer.NewFilteredDynamicInformer(client, pods, "", 0, indexers, nil).Informer(), nil
	default:
		return nil, fmt.Errorf("unknown -mode %s", o.mode)
	}
}

// config says how to reach the server; the client does not limit its own rate.
func (o options) config() (*rest.Config, error) {
	config := &rest.Config{Host: o.server}
	if o.kubeconfig != "" {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", o.kubeconfig); err != nil {
			return nil, err
		}
	}
	if config.Host == "" {
		return nil, errors.New("-server or -kubeconfig is needed; see -help")
	}
	config.QPS = -1
	config.ContentType = "application/json"
	if o.protobuf {
		config.ContentType = "application/vnd.kubernetes.protobuf"
	}
	return config, nil
}

// prune drops managedFields, as many users of client-go do.
func prune(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	accessor.SetManagedFields(nil)
	return object, nil
}

// latencies are filled by the handler and read after done is closed.
type latencies struct {
	lock   sync.Mutex
	ns     []int64
	want   int
	before usage
	first  time.Time
	last   time.Time
	done   chan struct{}
}

func newLatencies(want int) *latencies {
	return &latencies{ns: make([]int64, 0, want), want: want, done: make(chan struct{})}
}

// take notes the latency of an event that the store already holds.
func (l *latencies) take(object any, annotation string) {
	now := time.Now()
	accessor, err := meta.Accessor(object)
	if err != nil {
		return
	}
	sent, err := strconv.ParseInt(accessor.GetAnnotations()[annotation], 10, 64)
	if err != nil || sent == 0 {
		// Never sent as an event: a relist tells every object as an update.
		return
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	if len(l.ns) == 0 {
		l.before, l.first = usageNow(), now
	}
	l.ns = append(l.ns, max(0, now.UnixNano()-sent))
	l.last = now
	if len(l.ns) == l.want {
		close(l.done)
	}
}

func (l *latencies) len() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return len(l.ns)
}

// put adds the figures of the event phase to the report.
func (l *latencies) put(report map[string]any) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if len(l.ns) == 0 {
		return
	}
	used := usageNow().since(l.before)
	wallMs := float64(l.last.Sub(l.first).Nanoseconds()) / 1e6
	report["events"] = len(l.ns)
	report["events_wall_ms"] = wallMs
	report["events_cpu_ms"] = used.cpuMs()
	report["events_per_s"] = float64(int64(float64(len(l.ns)) / max(wallMs, 1e-3) * 1e3))
	report["latency_us"] = percentiles(l.ns, 1e3)
	report["events_peak_rss_bytes"] = statusBytes("VmHWM:")
}
