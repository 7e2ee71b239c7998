package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
)

var otherCases = []testCase{
	{name: "leader-election", run: leaderElection},
	{name: "event-recorders", run: eventRecorders},
	{name: "namespaces", run: namespaces},
}

// leaderElection: one of two leads, a release hands over at once, and silence hands over when the Lease has expired.
func leaderElection(e *env) error {
	var told lines
	stand := func(name string, release bool) (context.CancelFunc, error) {
		client, err := kubernetes.NewForConfig(e.direct)
		if err != nil {
			return nil, err
		}
		lock := &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: e.namespace, Name: "lead"},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		}
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond, ReleaseOnCancel: release,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { told.add(name + " leads") },
				OnStoppedLeading: func() { told.add(name + " leads no longer") },
			},
		})
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(e.ctx)
		go elector.Run(ctx)
		return cancel, nil
	}
	lease := func(label string) error {
		it, err := e.client.CoordinationV1().Leases(e.namespace).Get(e.ctx, "lead", metav1.GetOptions{})
		if err != nil {
			return err
		}
		e.say(label, "holder=%q seconds=%d transitions=%d renewed=%t", *it.Spec.HolderIdentity, *it.Spec.LeaseDurationSeconds, *it.Spec.LeaseTransitions, !it.Spec.RenewTime.IsZero())
		return nil
	}
	endFirst, err := stand("first", true)
	if err != nil {
		return err
	}
	defer endFirst()
	if err := steps(func() error { return e.sayTold("alone", &told, 1, false) }, func() error { return lease("alone, lease") }); err != nil {
		return err
	}
	endSecond, err := stand("second", false)
	if err != nil {
		return err
	}
	defer endSecond()
	endFirst()
	if err := steps(
		// Which of the two callbacks comes first is a race of two processes, here of two tasks.
		func() error { return e.sayTold("released", &told, 2, true) },
		func() error { return lease("released, lease") },
	); err != nil {
		return err
	}
	endSecond()
	if err := e.sayTold("silent", &told, 1, false); err != nil {
		return err
	}
	began := time.Now()
	endThird, err := stand("third", true)
	if err != nil {
		return err
	}
	defer endThird()
	if err := e.sayTold("expired", &told, 1, false); err != nil {
		return err
	}
	e.say("expired in time", "%t", time.Since(began) > 2*time.Second)
	return lease("expired, lease")
}

// eventRecorders: the old recorder and the new one write events that both APIs show.
func eventRecorders(e *env) error {
	about, err := e.client.CoreV1().ConfigMaps(e.namespace).Create(e.ctx, configMap("about", "1", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	old := record.NewBroadcaster(record.WithContext(e.ctx))
	defer old.Shutdown()
	old.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: e.client.CoreV1().Events(e.namespace)})
	recorder := old.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "cases"})
	core := e.client.CoreV1().Events(e.namespace)
	recorded := func(count int32, reason string) func() (bool, error) {
		return func() (bool, error) {
			list, err := core.List(e.ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
			return err == nil && len(list.Items) == 1 && list.Items[0].Count == count, nil
		}
	}
	for number := int32(1); number <= 3; number++ {
		recorder.Event(about, corev1.EventTypeWarning, "Old", "the same")
		if err := e.until(recorded(number, "Old")); err != nil {
			return err
		}
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: e.client.EventsV1()})
	defer broadcaster.Shutdown()
	if err := broadcaster.StartRecordingToSinkWithContext(e.ctx); err != nil {
		return err
	}
	newer := broadcaster.NewRecorder(scheme.Scheme, "example.com/cases")
	newer.Eventf(about, nil, corev1.EventTypeNormal, "New", "Looking", "seen %d", 1)
	var list *corev1.EventList
	if err := e.until(func() (bool, error) {
		list, err = core.List(e.ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=about"})
		return err == nil && len(list.Items) == 2, nil
	}); err != nil {
		return err
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int { return slices.Compare([]string{a.Reason}, []string{b.Reason}) })
	for _, it := range list.Items {
		e.say("core "+it.Reason, "%s %s %q count=%d action=%q controller=%q component=%q about %s/%s", it.Type, it.Reason, it.Message, it.Count, it.Action,
			it.ReportingController, it.Source.Component, it.InvolvedObject.Kind, it.InvolvedObject.Name)
	}
	others, err := e.client.EventsV1().Events(e.namespace).List(e.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, it := range others.Items {
		e.say("events "+it.Reason, "%s %s %q count=%d action=%q controller=%q component=%q regarding %s/%s", it.Type, it.Reason, it.Note, it.DeprecatedCount, it.Action,
			it.ReportingController, it.DeprecatedSource.Component, it.Regarding.Kind, it.Regarding.Name)
	}
	return nil
}

// namespaces are made with a finalizer of the spec, and take nothing while they end.
func namespaces(e *env) error {
	all := e.client.CoreV1().Namespaces()
	name := e.namespace + "-ends"
	made, err := all.Create(e.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{"x.io/keep"}}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	e.say("made", "%s %v labelled=%t", made.Status.Phase, made.Spec.Finalizers, made.Labels["kubernetes.io/metadata.name"] == name)
	e.outcome("delete", all.Delete(e.ctx, name, metav1.DeleteOptions{}))
	found, err := all.Get(e.ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	e.say("then", "%s deleted=%t", found.Status.Phase, found.DeletionTimestamp != nil)
	_, err = e.client.CoreV1().ConfigMaps(name).Create(e.ctx, configMap("a", "1", nil), metav1.CreateOptions{})
	e.outcome("create in it", err)
	e.outcome("delete of default", all.Delete(e.ctx, "default", metav1.DeleteOptions{}))
	_, err = all.Get(e.ctx, fmt.Sprint(name, "-absent"), metav1.GetOptions{})
	e.outcome("an absent one", err)
	return nil
}
