package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"
	watchtools "k8s.io/client-go/tools/watch"
)

var readCases = []testCase{
	{name: "pages", run: pages},
	{name: "pages-expired", run: pagesExpired},
	{name: "list-versions", run: listVersions},
	{name: "watches", run: watches},
	{name: "watch-expired", run: watchExpired},
	{name: "retry-watcher", run: retryWatcher},
	{name: "discovery", run: discoveries},
	{name: "rest-mapper", run: mapper},
	{name: "protobuf", run: protobuf},
	{name: "gzip", run: compression},
}

const mapCount = 7

func (e *env) fill() error {
	for number := range mapCount {
		if err := e.putMap(fmt.Sprintf("m%d", number), "1", nil); err != nil {
			return err
		}
	}
	return nil
}

func names(list *corev1.ConfigMapList) []string {
	var all []string
	for _, it := range list.Items {
		all = append(all, it.Name)
	}
	return all
}

func remaining(list *corev1.ConfigMapList) string {
	if list.RemainingItemCount == nil {
		return "unknown"
	}
	return strconv.FormatInt(*list.RemainingItemCount, 10)
}

// pages: a list in parts is one state, whatever is written meanwhile (pr-L9, pr-L11).
func pages(e *env) error {
	if err := e.fill(); err != nil {
		return err
	}
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	options := metav1.ListOptions{Limit: 3}
	before := ""
	for number := 1; ; number++ {
		list, err := maps.List(e.ctx, options)
		if err != nil {
			return err
		}
		label := fmt.Sprintf("page %d", number)
		e.say(label, "%v remaining=%s more=%t", names(list), remaining(list), list.Continue != "")
		if before != "" {
			e.say(label+", version", "%s", relation(before, list.ResourceVersion))
		}
		before = list.ResourceVersion
		if err := e.putMap(fmt.Sprintf("m%d-late", number), "1", nil); err != nil {
			return err
		}
		if list.Continue == "" {
			break
		}
		options.Continue = list.Continue
	}
	// A selection cannot be counted.
	list, err := maps.List(e.ctx, metav1.ListOptions{Limit: 1, LabelSelector: "!absent"})
	if err != nil {
		return err
	}
	e.say("selected page", "remaining=%s more=%t", remaining(list), list.Continue != "")
	list, err = maps.List(e.ctx, metav1.ListOptions{Limit: 1, FieldSelector: "metadata.name=m5"})
	if err != nil {
		return err
	}
	e.say("selected by name", "%v remaining=%s more=%t", names(list), remaining(list), list.Continue != "")
	var sent requests
	client, err := kubernetes.NewForConfig(sent.watched(e.direct))
	if err != nil {
		return err
	}
	page := func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.CoreV1().ConfigMaps(e.namespace).List(ctx, options)
	}
	it := pager.New(page)
	it.PageSize = 4
	whole, paged, err := it.ListWithAlloc(e.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	e.say("pager", "%d items paged=%t", meta.LenList(whole), paged)
	if err := e.sayTold("pager's request", &sent.lines, 3, false); err != nil {
		return err
	}
	// With version 0 a server with a watch cache answers whole, and so says nothing of pages (pr-L3).
	whole, paged, err = it.ListWithAlloc(e.ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	e.say("pager from any version", "%d items paged=%t", meta.LenList(whole), paged)
	return e.sayTold("pager's request from any version", &sent.lines, 1, false)
}

// pagesExpired: a token of a forgotten version is refused with a fresh one, which goes on at another version (pr-L10).
func pagesExpired(e *env) error {
	if err := e.fill(); err != nil {
		return err
	}
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	first, err := maps.List(e.ctx, metav1.ListOptions{Limit: 3})
	if err != nil {
		return err
	}
	if err := steps(
		func() error { return e.deleteMap("m4") },
		func() error { return e.putMap("m5-late", "1", nil) },
		func() error { return e.pull("compact") },
	); err != nil {
		return err
	}
	_, err = maps.List(e.ctx, metav1.ListOptions{Limit: 3, Continue: first.Continue})
	e.outcome("token", err)
	status, ok := err.(apierrors.APIStatus)
	if !ok {
		return err
	}
	fresh := status.Status().Continue
	e.say("fresh token", "%s", shape(fresh))
	rest, err := maps.List(e.ctx, metav1.ListOptions{Limit: 2, Continue: fresh})
	if err != nil {
		return err
	}
	e.say("inconsistent rest", "%v remaining=%s version %s", names(rest), remaining(rest), relation(first.ResourceVersion, rest.ResourceVersion))
	e.say("its token", "%s", shape(rest.Continue))
	rest, err = maps.List(e.ctx, metav1.ListOptions{Continue: rest.Continue})
	if err != nil {
		return err
	}
	e.say("last rest", "%v remaining=%s", names(rest), remaining(rest))
	_, err = maps.List(e.ctx, metav1.ListOptions{ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	e.outcome("exact version", err)
	// The pager starts again, whole.
	var sent requests
	client, err := kubernetes.NewForConfig(sent.watched(e.direct))
	if err != nil {
		return err
	}
	pulled := false
	it := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		if options.Continue != "" && !pulled {
			pulled = true
			if err := steps(func() error { return e.putMap("m6-late", "1", nil) }, func() error { return e.pull("compact") }); err != nil {
				return nil, err
			}
		}
		return client.CoreV1().ConfigMaps(e.namespace).List(ctx, options)
	})
	it.PageSize = 4
	whole, paged, err := it.ListWithAlloc(e.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	e.say("pager", "%d items paged=%t", meta.LenList(whole), paged)
	return e.sayTold("pager's request", &sent.lines, 3, false)
}

// shape shows which version stands in a token; the rest is the server's own.
func shape(token string) string {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "not base64"
	}
	var content struct {
		Version int64 `json:"rv"`
	}
	if err := json.Unmarshal(text, &content); err != nil {
		return err.Error()
	}
	if content.Version > 0 {
		return "rv=N"
	}
	return fmt.Sprintf("rv=%d", content.Version)
}

// listVersions: which state a list shows, by version and match (pr-L1, pr-L6).
func listVersions(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	one, err := maps.Create(e.ctx, configMap("one", "1", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	two, err := maps.Create(e.ctx, configMap("two", "1", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	list := func(label string, options metav1.ListOptions) {
		list, err := maps.List(e.ctx, options)
		if err != nil {
			e.outcome(label, err)
			return
		}
		// Others write as well: how far behind a version a list is, is chance.
		reaches := func(version string) bool { return relation(version, list.ResourceVersion) != "shrank" }
		exactly := options.ResourceVersion != "0" && options.ResourceVersion == list.ResourceVersion
		e.say(label, "%v reaches the first=%t the second=%t exactly=%t", names(list), reaches(one.ResourceVersion), reaches(two.ResourceVersion), exactly)
	}
	exact, older := metav1.ResourceVersionMatchExact, metav1.ResourceVersionMatchNotOlderThan
	list("unset", metav1.ListOptions{})
	list("not older than zero", metav1.ListOptions{ResourceVersion: "0", ResourceVersionMatch: older})
	list("not older than the first", metav1.ListOptions{ResourceVersion: one.ResourceVersion, ResourceVersionMatch: older})
	list("the second, unmatched", metav1.ListOptions{ResourceVersion: two.ResourceVersion})
	list("exactly the first", metav1.ListOptions{ResourceVersion: one.ResourceVersion, ResourceVersionMatch: exact})
	list("exactly the first, in parts", metav1.ListOptions{ResourceVersion: one.ResourceVersion, ResourceVersionMatch: exact, Limit: 1})
	list("the first, unmatched, in parts", metav1.ListOptions{ResourceVersion: one.ResourceVersion, Limit: 1})
	list("not older than the first, in parts", metav1.ListOptions{ResourceVersion: one.ResourceVersion, ResourceVersionMatch: older, Limit: 1})
	found, err := strconv.ParseUint(two.ResourceVersion, 10, 64)
	if err != nil {
		return err
	}
	future := strconv.FormatUint(found+1_000_000, 10)
	// Without retries: a server that says so is asked again ten times.
	get := func(label, name, version, match string) {
		request := e.client.CoreV1().RESTClient().Get().Resource("configmaps").Namespace(e.namespace).MaxRetries(0)
		if name != "" {
			request = request.Name(name)
		}
		if match != "" {
			request = request.Param("resourceVersionMatch", match)
		}
		e.outcome(label, request.Param("resourceVersion", version).Do(e.ctx).Error())
	}
	get("list from the future", "", future, "")
	get("list exactly from the future", "", future, "Exact")
	get("get from any version", "one", "0", "")
	get("get from the first", "one", one.ResourceVersion, "")
	get("get from the future", "one", future, "")
	get("get from no version", "one", "x", "")
	return nil
}

// sayEvents tells so many events of a watch.
func (e *env) sayEvents(label string, watching watch.Interface, count int) error {
	var all []string
	for len(all) < count {
		select {
		case <-e.ctx.Done():
			return fmt.Errorf("%s: waited after %v", label, all)
		case event, ok := <-watching.ResultChan():
			if !ok {
				e.sayAll(label, append(all, "end"))
				return nil
			}
			all = append(all, event2line(event))
		}
	}
	e.sayAll(label, all)
	return nil
}

func event2line(event watch.Event) string {
	if event.Type == watch.Error {
		return "ERROR " + outcome(apierrors.FromObject(event.Object))
	}
	name, value := shown(event.Object)
	end := ""
	if it, err := meta.Accessor(event.Object); err == nil && it.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "" {
		end = " end of initial events"
	}
	return fmt.Sprintf("%s %T %s v=%s%s", event.Type, event.Object, name, value, end)
}

// watches: what comes first, by version and by initial events, and how a watch ends (pr-W13, pr-E1).
func watches(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	one, err := maps.Create(e.ctx, configMap("one", "1", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := e.putMap("two", "1", nil); err != nil {
		return err
	}
	if err := e.deleteMap("two"); err != nil {
		return err
	}
	yes, no := true, false
	rows := []struct {
		label   string
		count   int
		options metav1.ListOptions
	}{
		{"unset", 1, metav1.ListOptions{}},
		{"zero", 1, metav1.ListOptions{ResourceVersion: "0"}},
		{"from the first", 2, metav1.ListOptions{ResourceVersion: one.ResourceVersion}},
		{"initial events", 2, metav1.ListOptions{SendInitialEvents: &yes, ResourceVersionMatch: "NotOlderThan", AllowWatchBookmarks: true}},
		{"initial events of any version", 2, metav1.ListOptions{SendInitialEvents: &yes, ResourceVersion: "0", ResourceVersionMatch: "NotOlderThan", AllowWatchBookmarks: true}},
		{"initial events without bookmarks", 1, metav1.ListOptions{SendInitialEvents: &yes, ResourceVersionMatch: "NotOlderThan"}},
		{"no initial events", 0, metav1.ListOptions{SendInitialEvents: &no, ResourceVersionMatch: "NotOlderThan", AllowWatchBookmarks: true}},
		{"one by name", 1, metav1.ListOptions{FieldSelector: "metadata.name=one"}},
	}
	for _, row := range rows {
		watching, err := maps.Watch(e.ctx, row.options)
		if err != nil {
			e.outcome(row.label, err)
			continue
		}
		err = e.sayEvents(row.label, watching, row.count)
		if err == nil {
			// The next one comes live, and once.
			if err = e.putMap("live", row.label, nil); err == nil && row.label != "one by name" {
				err = e.sayEvents(row.label+", live", watching, 1)
			}
		}
		watching.Stop()
		if err != nil {
			return err
		}
		if err := e.deleteMap("live"); err != nil {
			return err
		}
	}
	two := int64(2)
	watching, err := maps.Watch(e.ctx, metav1.ListOptions{TimeoutSeconds: &two, FieldSelector: "metadata.name=absent"})
	if err != nil {
		return err
	}
	began := time.Now()
	err = e.sayEvents("timeout", watching, 1)
	e.say("timeout in time", "%t", time.Since(began) > 1500*time.Millisecond && time.Since(began) < 6*time.Second)
	if err != nil {
		return err
	}
	// Bookmarks come two seconds before the end at the latest (pr-E11).
	four := int64(4)
	watching, err = maps.Watch(e.ctx, metav1.ListOptions{TimeoutSeconds: &four, AllowWatchBookmarks: true, ResourceVersion: one.ResourceVersion, FieldSelector: "metadata.name=absent"})
	if err != nil {
		return err
	}
	return e.sayEvents("bookmark before the end", watching, 2)
}

// watchExpired: a forgotten version ends a watch at once, in a frame (pr-W11).
func watchExpired(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	one, err := maps.Create(e.ctx, configMap("one", "1", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := steps(func() error { return e.putMap("one", "2", nil) }, func() error { return e.pull("compact") }); err != nil {
		return err
	}
	rows := map[string]metav1.ListOptions{
		"plain":          {ResourceVersion: one.ResourceVersion},
		"with bookmarks": {ResourceVersion: one.ResourceVersion, AllowWatchBookmarks: true},
	}
	for _, label := range []string{"plain", "with bookmarks"} {
		watching, err := maps.Watch(e.ctx, rows[label])
		if err != nil {
			e.outcome(label, err)
			continue
		}
		if err := e.sayEvents(label, watching, 2); err != nil {
			return err
		}
	}
	return nil
}

// retryWatcher goes on after a cut from the last version that it saw, and ends at an expired one.
func retryWatcher(e *env) error {
	client, err := kubernetes.NewForConfig(e.proxied)
	if err != nil {
		return err
	}
	one, err := e.client.CoreV1().ConfigMaps(e.namespace).Create(e.ctx, configMap("one", "1", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	watching, err := watchtools.NewRetryWatcherWithContext(e.ctx, one.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.CoreV1().ConfigMaps(e.namespace).Watch(ctx, options)
		},
	})
	if err != nil {
		return err
	}
	defer watching.Stop()
	return steps(
		func() error { return e.putMap("one", "2", nil) },
		func() error { return e.sayEvents("before the cut", watching, 1) },
		func() error { return e.pull("cut") },
		func() error { return e.putMap("one", "3", nil) },
		func() error { return e.sayEvents("after the cut", watching, 1) },
		func() error { return e.pull("down") },
		func() error { return e.putMap("one", "4", nil) },
		func() error { return e.pull("compact") },
		func() error { return e.pull("up") },
		func() error { return e.sayEvents("after the compaction", watching, 1) },
		func() error { <-watching.Done(); e.say("ended", "true"); return nil },
	)
}

// served are the resources that the embedded server has.
var served = []string{
	"v1/namespaces", "v1/pods", "v1/services", "v1/configmaps", "v1/secrets", "v1/nodes", "v1/events", "v1/endpoints", "v1/serviceaccounts",
	"apps/v1/deployments", "apps/v1/replicasets", "apps/v1/statefulsets", "apps/v1/daemonsets",
	"networking.k8s.io/v1/ingresses", "networking.k8s.io/v1/ingressclasses", "discovery.k8s.io/v1/endpointslices",
	"coordination.k8s.io/v1/leases", "events.k8s.io/v1/events", "apiextensions.k8s.io/v1/customresourcedefinitions",
}

// discoveries: both forms of discovery say the same of what is served.
func discoveries(e *env) error {
	client, err := discovery.NewDiscoveryClientForConfig(e.direct)
	if err != nil {
		return err
	}
	group := "found.example.com"
	definition, resource := gear(group)
	if err := e.define(definition, resource); err != nil {
		return err
	}
	wanted := append(slices.Clone(served), group+"/v1/gears", group+"/v1/gears/status", "v1/pods/status", "v1/pods/eviction", "v1/namespaces/finalize", "apps/v1/deployments/scale")
	forms := map[string]discovery.DiscoveryInterface{"aggregated": client, "legacy": client.WithLegacy()}
	for _, form := range []string{"aggregated", "legacy"} {
		var groups []*metav1.APIGroup
		var lists []*metav1.APIResourceList
		// The real server shows a definition a moment after it is established.
		if err := e.until(func() (bool, error) {
			var err error
			groups, lists, err = forms[form].ServerGroupsAndResources()
			return err == nil && find(lists, group+"/v1/gears") != "absent", nil
		}); err != nil {
			return err
		}
		for _, it := range groups {
			if slices.ContainsFunc(wanted, func(name string) bool { return strings.HasPrefix(name, it.Name+"/") || it.Name == "" }) {
				var versions []string
				for _, version := range it.Versions {
					versions = append(versions, version.GroupVersion)
				}
				e.say(form+" group "+it.Name, "versions %v preferred %s", versions, it.PreferredVersion.GroupVersion)
			}
		}
		for _, name := range wanted {
			e.say(form+" "+name, "%s", find(lists, name))
		}
		preferred, err := discovery.ServerPreferredResources(forms[form])
		if err != nil {
			return err
		}
		e.say(form+" preferred", "%t", find(preferred, "apps/v1/deployments") != "absent")
		namespaced, err := discovery.ServerPreferredNamespacedResources(forms[form])
		if err != nil {
			return err
		}
		e.say(form+" namespaced", "pods=%t nodes=%t", find(namespaced, "v1/pods") != "absent", find(namespaced, "v1/nodes") != "absent")
	}
	version, err := client.ServerVersion()
	if err != nil {
		return err
	}
	e.say("version", "%s.%s", version.Major, version.Minor)
	return nil
}

// find shows one resource of what is discovered.
func find(lists []*metav1.APIResourceList, name string) string {
	for _, list := range lists {
		for _, it := range list.APIResources {
			if list.GroupVersion+"/"+it.Name == name {
				verbs := slices.Clone([]string(it.Verbs))
				slices.Sort(verbs)
				return fmt.Sprintf("kind=%s/%s/%s namespaced=%t singular=%q short=%v categories=%v verbs=%v", it.Group, it.Version, it.Kind, it.Namespaced, it.SingularName, it.ShortNames, it.Categories, verbs)
			}
		}
	}
	return "absent"
}

// mapper: kinds, resources and short names are found by one another.
func mapper(e *env) error {
	client, err := discovery.NewDiscoveryClientForConfig(e.direct)
	if err != nil {
		return err
	}
	groups, err := restmapper.GetAPIGroupResources(client)
	if err != nil {
		return err
	}
	mapper := restmapper.NewShortcutExpander(restmapper.NewDiscoveryRESTMapper(groups), client, nil)
	for _, kind := range []schema.GroupKind{{Kind: "Pod"}, {Group: "apps", Kind: "Deployment"}, {Kind: "Namespace"}, {Group: "coordination.k8s.io", Kind: "Lease"}, {Group: "odd.io", Kind: "Odd"}} {
		found, err := mapper.RESTMapping(kind)
		if err != nil {
			e.say("mapping of "+kind.String(), "error: %v", err)
			continue
		}
		e.say("mapping of "+kind.String(), "%s %s", found.Resource, found.Scope.Name())
	}
	for _, name := range []string{"po", "cm", "deploy", "svc", "ns", "ing", "crd", "services"} {
		found, err := mapper.ResourceFor(schema.GroupVersionResource{Resource: name})
		if err != nil {
			e.say("resource for "+name, "error: %v", err)
			continue
		}
		e.say("resource for "+name, "%s", found)
	}
	return nil
}

const protobufType = "application/vnd.kubernetes.protobuf"

// protobuf: a client that prefers protobuf gets its objects, lists, watches and refusals.
func protobuf(e *env) error {
	config := rest.CopyConfig(e.direct)
	config.ContentType = protobufType
	config.AcceptContentTypes = protobufType + ",application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	direct := e.client
	e.client = client
	defer func() { e.client = direct }()
	maps := client.CoreV1().ConfigMaps(e.namespace)
	created, err := maps.Create(e.ctx, configMap("a", "1", map[string]string{"x": "y"}), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	e.sayJSON("created", map[string]any{"data": created.Data, "labels": created.Labels, "annotations": created.Annotations})
	created.BinaryData = map[string][]byte{"b": {0, 255}}
	updated, err := maps.Update(e.ctx, created, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	e.sayJSON("updated", updated.BinaryData)
	_, err = maps.Create(e.ctx, configMap("a", "1", nil), metav1.CreateOptions{})
	e.outcome("the same name", err)
	_, err = maps.Get(e.ctx, "absent", metav1.GetOptions{})
	e.outcome("an absent one", err)
	made, err := client.CoreV1().Pods(e.namespace).Create(e.ctx, pod("p", "1", map[string]string{"a": "b"}), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	e.say("pod", "%s %s", made.Spec.Containers[0].Image, made.Status.Phase)
	scaled, err := client.AppsV1().Deployments(e.namespace).Create(e.ctx, deployment("d", 3), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	e.say("deployment", "%d %v", *scaled.Spec.Replicas, scaled.Spec.Selector.MatchLabels)
	zero := int64(0)
	e.outcome("delete with options", client.CoreV1().Pods(e.namespace).Delete(e.ctx, "p", metav1.DeleteOptions{GracePeriodSeconds: &zero}))
	factory, err := e.shared(config, 0, nil)
	if err != nil {
		return err
	}
	var it told
	if _, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(it.handler()); err != nil {
		return err
	}
	factory.StartWithContext(e.ctx)
	err = steps(
		func() error { return e.sayTold("informer", &it.lines, 1, false) },
		func() error { return e.putMap("a", "2", nil) },
		func() error { return e.sayTold("informer live", &it.lines, 1, false) },
	)
	if err != nil {
		return err
	}
	maps = direct.CoreV1().ConfigMaps(e.namespace)
	for label, accept := range map[string]string{"protobuf, then JSON": config.AcceptContentTypes, "protobuf alone": protobufType} {
		var kind string
		answer := direct.CoreV1().RESTClient().Get().Resource("configmaps").Namespace(e.namespace).SetHeader("Accept", accept).Do(e.ctx)
		answer.ContentType(&kind)
		e.say("answer to "+label, "%s %s", kind, outcome(answer.Error()))
	}
	return nil
}

// compression: large lists are compressed for who accepts it, watches are not (pr-L20, pr-W7).
func compression(e *env) error {
	for number := range 3 {
		it := configMap(fmt.Sprintf("large-%d", number), "1", nil)
		it.Data["large"] = strings.Repeat("abcdefgh", 10_000)
		if _, err := e.client.CoreV1().ConfigMaps(e.namespace).Create(e.ctx, it, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	transport, err := rest.TransportFor(e.direct)
	if err != nil {
		return err
	}
	ask := func(label, query, encoding string) error {
		url := e.direct.Host + "/api/v1/namespaces/" + e.namespace + "/configmaps" + query
		request, err := http.NewRequestWithContext(e.ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Accept-Encoding", encoding)
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		e.say(label, "%d encoding=%q vary=%q", response.StatusCode, response.Header.Get("Content-Encoding"), response.Header.Get("Vary"))
		// Something of it has to come at once.
		_, err = io.ReadFull(response.Body, make([]byte, 2))
		return err
	}
	watchList := "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
	if err := steps(
		func() error { return ask("large list", "", "gzip") },
		func() error { return ask("large list, other codings", "", "br, gzip;q=0.5") },
		func() error { return ask("large list, not asked for", "", "identity") },
		func() error { return ask("small list", "?limit=1", "gzip") },
		func() error { return ask("streaming list", watchList, "gzip") },
		func() error { return ask("watch", "?watch=1&resourceVersion=0", "gzip") },
	); err != nil {
		return err
	}
	// client-go asks for it and takes it away again by itself.
	list, err := e.client.CoreV1().ConfigMaps(e.namespace).List(e.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	e.say("listed", "%v %d", names(list), len(list.Items[0].Data["large"]))
	watching, err := e.client.CoreV1().ConfigMaps(e.namespace).Watch(e.ctx, metav1.ListOptions{SendInitialEvents: new(true), ResourceVersionMatch: "NotOlderThan", AllowWatchBookmarks: true})
	if err != nil {
		return err
	}
	defer watching.Stop()
	return e.sayEvents("watched", watching, 4)
}
