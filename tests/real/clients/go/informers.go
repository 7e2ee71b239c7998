package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

var informerCases = []testCase{
	{name: "informer-streams", run: informer},
	{name: "informer-lists", run: informer, lists: true},
	{name: "informer-selects", run: informerSelects},
	{name: "informer-resyncs", run: informerResyncs},
	{name: "informer-cut", run: informerCut},
	{name: "informer-compacted-streams", run: informerCompacted},
	{name: "informer-compacted-lists", run: informerCompacted, lists: true},
}

// shared makes an informer factory of the case's namespace.
func (e *env) shared(config *rest.Config, resync time.Duration, tweak func(*metav1.ListOptions)) (informers.SharedInformerFactory, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	options := []informers.SharedInformerOption{informers.WithNamespace(e.namespace)}
	if tweak != nil {
		options = append(options, informers.WithTweakListOptions(tweak))
	}
	return informers.NewSharedInformerFactoryWithOptions(client, resync, options...), nil
}

func (e *env) putMap(name, value string, labels map[string]string) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	if _, err := maps.Create(e.ctx, configMap(name, value, labels), metav1.CreateOptions{}); err == nil {
		return nil
	}
	_, err := maps.Update(e.ctx, configMap(name, value, labels), metav1.UpdateOptions{})
	return err
}

func (e *env) deleteMap(name string) error {
	return e.client.CoreV1().ConfigMaps(e.namespace).Delete(e.ctx, name, metav1.DeleteOptions{})
}

// sayListedAnew tells whether there was more than one list, streaming or not.
func (e *env) sayListedAnew(sent *requests) error {
	all, err := sent.take(e.ctx, 2)
	lists := 0
	for _, it := range all {
		if strings.HasPrefix(it, "list") || strings.Contains(it, "sendInitialEvents=true") {
			lists++
		}
	}
	e.say("listed anew", "%t", lists > 1)
	return err
}

// requestsOfASync is how many requests so many lists with a watch each are.
func (e *env) requestsOfASync(count int) int {
	if e.lists {
		return 2 * count
	}
	return count
}

// sayTold waits for so many events and tells them; sorted where no order is promised.
func (e *env) sayTold(label string, t *lines, count int, sorted bool) error {
	all, err := t.take(e.ctx, count)
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	if sorted {
		slices.Sort(all)
	}
	e.sayAll(label, all)
	return nil
}

// informer: a shared informer syncs, follows, tells two handlers alike, and knows what it has.
func informer(e *env) error {
	var sent requests
	for name, value := range map[string]string{"a": "1", "b": "1", "c": "1"} {
		if err := e.putMap(name, value, nil); err != nil {
			return err
		}
	}
	factory, err := e.shared(sent.watched(e.direct), 0, nil)
	if err != nil {
		return err
	}
	maps := factory.Core().V1().ConfigMaps()
	var first, second told
	for _, it := range []*told{&first, &second} {
		if _, err := maps.Informer().AddEventHandler(it.handler()); err != nil {
			return err
		}
	}
	factory.StartWithContext(e.ctx)
	return steps(
		func() error { return e.sayTold("synced", &first.lines, 3, true) },
		func() error { return e.sayTold("second handler synced", &second.lines, 3, true) },
		func() error {
			e.say("informer has synced", "%t", maps.Informer().HasSynced())
			return e.sayTold("requests", &sent.lines, e.requestsOfASync(1), false)
		},
		func() error { return e.putMap("d", "1", nil) },
		func() error { return e.putMap("a", "2", nil) },
		func() error { return e.deleteMap("b") },
		func() error { return e.putMap("b", "9", nil) },
		func() error { return e.sayTold("live", &first.lines, 4, false) },
		func() error { return e.sayTold("second handler live", &second.lines, 4, false) },
		func() error {
			held, err := maps.Lister().ConfigMaps(e.namespace).Get("a")
			if err == nil {
				e.sayJSON("lister's object", map[string]any{"data": held.Data, "kind": held.Kind, "namespace": held.Namespace == e.namespace})
			}
			return err
		},
		func() error {
			// A handler that comes late is told what there is.
			var late told
			_, err := maps.Informer().AddEventHandler(late.handler())
			if err != nil {
				return err
			}
			return e.sayTold("late handler", &late.lines, 4, true)
		},
	)
}

// informerSelects: what leaves a selection is deleted for the informer, what comes is added (pr-E3).
func informerSelects(e *env) error {
	pods := e.client.CoreV1().Pods(e.namespace)
	for name, tier := range map[string]string{"in": "front", "out": "back"} {
		if _, err := pods.Create(e.ctx, pod(name, "1", map[string]string{"tier": tier}), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	follow := func(tweak func(*metav1.ListOptions)) (*told, error) {
		factory, err := e.shared(e.direct, 0, tweak)
		if err != nil {
			return nil, err
		}
		var it told
		if _, err := factory.Core().V1().Pods().Informer().AddEventHandler(it.handler()); err != nil {
			return nil, err
		}
		factory.StartWithContext(e.ctx)
		factory.WaitForCacheSyncWithContext(e.ctx)
		return &it, nil
	}
	label := func(name, tier string) error {
		found, err := pods.Get(e.ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		found.Labels["tier"] = tier
		found.Annotations["v"] = tier
		_, err = pods.Update(e.ctx, found, metav1.UpdateOptions{})
		return err
	}
	byLabel, err := follow(func(options *metav1.ListOptions) { options.LabelSelector = "tier=front" })
	if err != nil {
		return err
	}
	byField, err := follow(func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("status.phase", "Running").String()
	})
	if err != nil {
		return err
	}
	running := func() error {
		found, err := pods.Get(e.ctx, "in", metav1.GetOptions{})
		if err != nil {
			return err
		}
		found.Status.Phase = corev1.PodRunning
		_, err = pods.UpdateStatus(e.ctx, found, metav1.UpdateOptions{})
		return err
	}
	bind := func() error {
		binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "in"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}}
		e.outcome("binding", pods.Bind(e.ctx, binding, metav1.CreateOptions{}))
		return nil
	}
	return steps(
		func() error { return e.sayTold("by label", &byLabel.lines, 1, false) },
		func() error { return label("out", "front") },
		func() error { return label("in", "back") },
		func() error { return e.sayTold("by label, live", &byLabel.lines, 2, false) },
		running,
		func() error { return e.sayTold("by field", &byField.lines, 1, false) },
		bind,
		func() error {
			zero := int64(0)
			return pods.Delete(e.ctx, "in", metav1.DeleteOptions{GracePeriodSeconds: &zero})
		},
		func() error { _, err := byField.take(e.ctx, 1); return err },
	)
}

// informerResyncs: a resync tells what is held again, and asks the server nothing (cg-R25, cg-I5).
func informerResyncs(e *env) error {
	var sent requests
	if err := e.putMap("a", "1", nil); err != nil {
		return err
	}
	factory, err := e.shared(sent.watched(e.direct), time.Second, nil)
	if err != nil {
		return err
	}
	var it told
	if _, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(it.handler()); err != nil {
		return err
	}
	factory.StartWithContext(e.ctx)
	return steps(
		func() error {
			all, err := it.take(e.ctx, 3)
			if err == nil {
				e.sayAll("told", all[:3])
			}
			return err
		},
		func() error { return e.sayTold("requests", &sent.lines, 1, false) },
	)
}

// informerCut: nothing is lost or told twice when a connection breaks, whether client-go watches on or lists (cg-R24).
func informerCut(e *env) error {
	if err := e.putMap("a", "1", nil); err != nil {
		return err
	}
	factory, err := e.shared(e.proxied, 0, nil)
	if err != nil {
		return err
	}
	var it told
	if _, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(it.handler()); err != nil {
		return err
	}
	factory.StartWithContext(e.ctx)
	return steps(
		func() error { return e.sayTold("synced", &it.lines, 1, false) },
		func() error { return e.pull("cut") },
		func() error { return e.putMap("a", "2", nil) },
		func() error { return e.sayTold("after the cut", &it.lines, 1, false) },
	)
}

// informerCompacted: what was forgotten while the informer was away is told after a relist, deletions as tombstones (cg-R20, cg-R33).
func informerCompacted(e *env) error {
	var sent requests
	for _, name := range []string{"gone", "kept", "made-anew", "moved"} {
		if err := e.putMap(name, "1", nil); err != nil {
			return err
		}
	}
	factory, err := e.shared(sent.watched(e.proxied), 0, nil)
	if err != nil {
		return err
	}
	var it told
	shared := factory.Core().V1().ConfigMaps().Informer()
	if _, err := shared.AddEventHandler(it.handler()); err != nil {
		return err
	}
	factory.StartWithContext(e.ctx)
	return steps(
		func() error { return e.sayTold("synced", &it.lines, 4, true) },
		func() error { return e.pull("down") },
		func() error { return e.deleteMap("gone") },
		func() error { return e.deleteMap("made-anew") },
		func() error { return e.putMap("made-anew", "2", nil) },
		func() error { return e.putMap("moved", "2", nil) },
		func() error { return e.putMap("new", "1", nil) },
		func() error { return e.pull("compact") },
		func() error { return e.pull("up") },
		func() error {
			// Those that did not change may be told again, once a relist.
			if err := e.sayTold("after the compaction", &it.lines, 4, true); err != nil {
				return err
			}
			keys := shared.GetStore().ListKeys()
			slices.Sort(keys)
			e.say("store", "%v", keys)
			// Whether it tries the old version first depends on how its connection failed.
			return e.sayListedAnew(&sent)
		},
		func() error { return e.putMap("kept", "3", nil) },
		func() error { return e.sayTold("live again", &it.lines, 1, false) },
	)
}
