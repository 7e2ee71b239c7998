package main

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
)

var writeCases = []testCase{
	{name: "creates", run: creates},
	{name: "updates", run: updates},
	{name: "patches", run: patches},
	{name: "deletes", run: deletes},
	{name: "finalizers", run: finalizers},
	{name: "dry-runs", run: dryRuns},
	{name: "statuses-and-scales", run: statusesAndScales},
	{name: "evictions", run: evictions},
	{name: "retry-on-conflict", run: retryOnConflict},
	{name: "refusals", run: refusals},
}

// request is short for what a client is told step by step.
type request = *rest.Request

const mergePatch = types.MergePatchType

// creates: what is refused, and what the server fills in (pr-N9, pr-N10).
func creates(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	created, err := maps.Create(e.ctx, configMap("a", "1", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	e.say("filled in", "uid=%t version=%t time=%t namespace=%t generation=%d", created.UID != "", created.ResourceVersion != "",
		!created.CreationTimestamp.IsZero(), created.Namespace == e.namespace, created.Generation)
	for _, field := range created.ManagedFields {
		e.say("managed by", "%s %s %s %s", field.Manager, field.Operation, field.APIVersion, field.FieldsV1)
	}
	_, err = maps.Create(e.ctx, configMap("a", "2", nil), metav1.CreateOptions{})
	e.outcome("the same name", err)
	generated := configMap("", "1", nil)
	generated.GenerateName = "made-"
	one, err := maps.Create(e.ctx, generated, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	other, err := maps.Create(e.ctx, generated, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	e.say("generated name", "prefix=%t length=%d others=%t", strings.HasPrefix(one.Name, "made-"), len(one.Name), one.Name != other.Name)
	mutated := func(label string, change func(*corev1.ConfigMap)) {
		it := configMap("bad", "1", nil)
		change(it)
		_, err := maps.Create(e.ctx, it, metav1.CreateOptions{})
		e.outcome(label, err)
		if err == nil {
			// So that the next one is not refused for its name.
			_ = e.deleteMap("bad")
		}
	}
	mutated("no name", func(it *corev1.ConfigMap) { it.Name = "" })
	mutated("a name in capitals", func(it *corev1.ConfigMap) { it.Name = "Bad" })
	mutated("a long name", func(it *corev1.ConfigMap) { it.Name = strings.Repeat("x", 254) })
	mutated("a bad label", func(it *corev1.ConfigMap) { it.Labels = map[string]string{"a b": "c"} })
	mutated("a bad label's value", func(it *corev1.ConfigMap) { it.Labels = map[string]string{"a": "c d"} })
	mutated("a bad annotation", func(it *corev1.ConfigMap) { it.Annotations = map[string]string{"a b": "c"} })
	mutated("another namespace", func(it *corev1.ConfigMap) { it.Namespace = "elsewhere" })
	mutated("a version", func(it *corev1.ConfigMap) { it.ResourceVersion = "5" })
	mutated("a finalizer without a domain", func(it *corev1.ConfigMap) { it.Finalizers = []string{"keep"} })
	mutated("an owner without uid", func(it *corev1.ConfigMap) {
		it.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "a"}}
	})
	mutated("two controllers", func(it *corev1.ConfigMap) {
		yes := true
		owner := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "a", UID: created.UID, Controller: &yes}
		second := owner
		second.Name, second.UID = "b", "b"
		it.OwnerReferences = []metav1.OwnerReference{owner, second}
	})
	_, err = e.client.CoreV1().ConfigMaps("absent").Create(e.ctx, configMap("a", "1", nil), metav1.CreateOptions{})
	e.outcome("an absent namespace", err)
	_, err = e.client.CoreV1().Namespaces().Create(e.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a.b"}}, metav1.CreateOptions{})
	e.outcome("a namespace with a dot", err)
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	made, err := e.client.CoreV1().Services(e.namespace).Create(e.ctx, service, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	e.say("service", "address=%t type=%s affinity=%s", made.Spec.ClusterIP != "", made.Spec.Type, made.Spec.SessionAffinity)
	return nil
}

// updates: optimistic concurrency, and what an update may not change.
func updates(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	old, err := maps.Create(e.ctx, configMap("a", "1", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	change := func(label string, change func(*corev1.ConfigMap)) {
		it := old.DeepCopy()
		change(it)
		updated, err := maps.Update(e.ctx, it, metav1.UpdateOptions{})
		e.outcome(label, err)
		if err == nil {
			e.say(label+", then", "version %s uid %s time %s", relation(old.ResourceVersion, updated.ResourceVersion),
				relation(string(old.UID), string(updated.UID)), relation(old.CreationTimestamp.String(), updated.CreationTimestamp.String()))
			old = updated
		}
	}
	change("a new value", func(it *corev1.ConfigMap) { it.Data["v"] = "2" })
	change("no change", func(*corev1.ConfigMap) {})
	change("an old version", func(it *corev1.ConfigMap) { it.ResourceVersion = "1" })
	change("no version", func(it *corev1.ConfigMap) { it.ResourceVersion = ""; it.Data["v"] = "3" })
	change("another uid", func(it *corev1.ConfigMap) { it.UID = "11111111-2222-3333-4444-555555555555" })
	change("no uid", func(it *corev1.ConfigMap) { it.UID = "" })
	change("a version that is none", func(it *corev1.ConfigMap) { it.ResourceVersion = "x" })
	change("another time of creation", func(it *corev1.ConfigMap) { it.CreationTimestamp = metav1.Time{} })
	change("another generation", func(it *corev1.ConfigMap) { it.Generation = 7 })
	absent := configMap("absent", "1", nil)
	_, err = maps.Update(e.ctx, absent, metav1.UpdateOptions{})
	e.outcome("an absent one", err)
	immutable := old.DeepCopy()
	yes := true
	immutable.Immutable = &yes
	if immutable, err = maps.Update(e.ctx, immutable, metav1.UpdateOptions{}); err != nil {
		return err
	}
	immutable.Data["v"] = "4"
	_, err = maps.Update(e.ctx, immutable, metav1.UpdateOptions{})
	e.outcome("an immutable one", err)
	return nil
}

// patches: the types of patches, and how each can be wrong.
func patches(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	if _, err := maps.Create(e.ctx, configMap("a", "1", nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	patch := func(label string, kind types.PatchType, body string) {
		it, err := maps.Patch(e.ctx, "a", kind, []byte(body), metav1.PatchOptions{})
		if err != nil {
			e.outcome(label, err)
			return
		}
		e.sayJSON(label, map[string]any{"data": it.Data, "labels": it.Labels, "finalizers": it.Finalizers})
	}
	patch("merge", types.MergePatchType, `{"data":{"w":"2","v":null}}`)
	patch("merge of nothing", types.MergePatchType, `{}`)
	patch("merge with an old version", types.MergePatchType, `{"metadata":{"resourceVersion":"1"},"data":{"w":"3"}}`)
	patch("merge that is no object", types.MergePatchType, `[]`)
	patch("merge that is no JSON", types.MergePatchType, `{`)
	patch("JSON", types.JSONPatchType, `[{"op":"add","path":"/data/x","value":"1"},{"op":"test","path":"/data/w","value":"2"}]`)
	patch("JSON whose test fails", types.JSONPatchType, `[{"op":"test","path":"/data/w","value":"9"}]`)
	patch("JSON of an absent path", types.JSONPatchType, `[{"op":"remove","path":"/data/absent"}]`)
	patch("JSON that is no list", types.JSONPatchType, `{}`)
	patch("strategic", types.StrategicMergePatchType, `{"data":{"x":null},"metadata":{"finalizers":["x.io/a"]}}`)
	patch("strategic, a list of primitives", types.StrategicMergePatchType, `{"metadata":{"finalizers":["x.io/b"]}}`)
	patch("strategic, deleted from the list", types.StrategicMergePatchType, `{"metadata":{"$deleteFromPrimitiveList/finalizers":["x.io/a","x.io/b"]}}`)
	patch("of an unknown type", types.PatchType("application/odd-patch+json"), `{}`)
	patch("of the name", types.MergePatchType, `{"metadata":{"name":"b"}}`)
	_, err := maps.Patch(e.ctx, "absent", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
	e.outcome("of an absent one", err)
	if _, err := maps.Create(e.ctx, configMap("typed", "1", nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err = maps.Patch(e.ctx, "typed", types.MergePatchType, []byte(`{"data":{"w":3}}`), metav1.PatchOptions{})
	e.say("merge of a wrong type", "refused=%t", err != nil)
	if err := e.deleteMap("typed"); err != nil {
		return err
	}
	pods := e.client.CoreV1().Pods(e.namespace)
	if _, err := pods.Create(e.ctx, pod("p", "1", nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	changed, err := pods.Patch(e.ctx, "p", types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"c","image":"example.invalid/other"}]}}`), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	e.say("strategic, by key", "%d containers, %s", len(changed.Spec.Containers), changed.Spec.Containers[0].Image)
	return nil
}

// deletes: preconditions, collections, and what is answered.
func deletes(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	create := func(name string) (*corev1.ConfigMap, error) {
		return maps.Create(e.ctx, configMap(name, "1", map[string]string{"app": name[:1]}), metav1.CreateOptions{})
	}
	one, err := create("a")
	if err != nil {
		return err
	}
	wrong, old := types.UID("11111111-2222-3333-4444-555555555555"), "1"
	e.outcome("another uid", maps.Delete(e.ctx, "a", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &wrong}}))
	e.outcome("an old version", maps.Delete(e.ctx, "a", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &old}}))
	e.outcome("its uid and version", maps.Delete(e.ctx, "a", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &one.UID, ResourceVersion: &one.ResourceVersion}}))
	e.outcome("once more", maps.Delete(e.ctx, "a", metav1.DeleteOptions{}))
	policy := metav1.DeletionPropagation("Sideways")
	if _, err := create("b1"); err != nil {
		return err
	}
	e.outcome("an unknown policy", maps.Delete(e.ctx, "b1", metav1.DeleteOptions{PropagationPolicy: &policy}))
	yes := true
	background := metav1.DeletePropagationBackground
	e.outcome("a policy and orphans", maps.Delete(e.ctx, "b1", metav1.DeleteOptions{PropagationPolicy: &background, OrphanDependents: &yes}))
	for _, name := range []string{"b2", "c1", "c2"} {
		if _, err := create(name); err != nil {
			return err
		}
	}
	left := func() string {
		list, err := maps.List(e.ctx, metav1.ListOptions{})
		if err != nil {
			return outcome(err)
		}
		var names []string
		for _, it := range list.Items {
			names = append(names, it.Name)
		}
		slices.Sort(names)
		return fmt.Sprint(names)
	}
	e.outcome("a collection by label", maps.DeleteCollection(e.ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=b"}))
	e.say("left", "%s", left())
	e.outcome("a collection by field", maps.DeleteCollection(e.ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=c1"}))
	e.say("left then", "%s", left())
	e.outcome("the whole collection", maps.DeleteCollection(e.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	e.say("left at last", "%s", left())
	e.outcome("an empty collection", maps.DeleteCollection(e.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	e.outcome("a collection by a bad selector", maps.DeleteCollection(e.ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "a in"}))
	return nil
}

// finalizers hold an object, which shows when it was deleted until the last is gone.
func finalizers(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	held := configMap("held", "1", nil)
	held.Finalizers = []string{"x.io/a", "x.io/b"}
	created, err := maps.Create(e.ctx, held, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	watching, err := maps.Watch(e.ctx, metav1.ListOptions{ResourceVersion: created.ResourceVersion})
	if err != nil {
		return err
	}
	defer watching.Stop()
	e.outcome("delete", maps.Delete(e.ctx, "held", metav1.DeleteOptions{}))
	found, err := maps.Get(e.ctx, "held", metav1.GetOptions{})
	if err != nil {
		return err
	}
	e.say("then", "deleted=%t grace=%d version %s", found.DeletionTimestamp != nil, *found.DeletionGracePeriodSeconds, relation(created.ResourceVersion, found.ResourceVersion))
	e.outcome("delete again", maps.Delete(e.ctx, "held", metav1.DeleteOptions{}))
	again, err := maps.Get(e.ctx, "held", metav1.GetOptions{})
	if err != nil {
		return err
	}
	e.say("then again", "version %s", relation(found.ResourceVersion, again.ResourceVersion))
	more := again.DeepCopy()
	more.Finalizers = append(more.Finalizers, "x.io/c")
	_, err = maps.Update(e.ctx, more, metav1.UpdateOptions{})
	e.outcome("another finalizer", err)
	// Whoever takes the time of deletion away is not heard.
	more = again.DeepCopy()
	more.DeletionTimestamp, more.DeletionGracePeriodSeconds = nil, nil
	undone, err := maps.Update(e.ctx, more, metav1.UpdateOptions{})
	e.outcome("undeleted", err)
	if err == nil {
		e.say("undeleted, then", "deleted=%t", undone.DeletionTimestamp != nil)
	}
	for number, left := range []string{`["x.io/b"]`, `null`} {
		_, err = maps.Patch(e.ctx, "held", mergePatch, []byte(`{"metadata":{"finalizers":`+left+`}}`), metav1.PatchOptions{})
		e.outcome(fmt.Sprintf("finalizer %d taken away", number+1), err)
	}
	_, err = maps.Get(e.ctx, "held", metav1.GetOptions{})
	e.outcome("at last", err)
	for number := 1; number <= 3; number++ {
		event := <-watching.ResultChan()
		it, ok := event.Object.(*corev1.ConfigMap)
		if !ok {
			return fmt.Errorf("%v", event)
		}
		e.say(fmt.Sprintf("watched %d", number), "%s finalizers=%v deleted=%t", event.Type, it.Finalizers, it.DeletionTimestamp != nil)
	}
	return nil
}

// dryRuns answer as if it were done, and nothing is.
func dryRuns(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	all := []string{metav1.DryRunAll}
	tried, err := maps.Create(e.ctx, configMap("a", "1", nil), metav1.CreateOptions{DryRun: all})
	e.outcome("create", err)
	if err == nil {
		e.say("create, then", "uid=%t version=%q", tried.UID != "", tried.ResourceVersion)
	}
	_, err = maps.Get(e.ctx, "a", metav1.GetOptions{})
	e.outcome("get", err)
	created, err := maps.Create(e.ctx, configMap("a", "1", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	changed := created.DeepCopy()
	changed.Data["v"] = "2"
	answered, err := maps.Update(e.ctx, changed, metav1.UpdateOptions{DryRun: all})
	e.outcome("update", err)
	if err == nil {
		e.say("update, then", "v=%s version %s", answered.Data["v"], relation(created.ResourceVersion, answered.ResourceVersion))
	}
	patched, err := maps.Patch(e.ctx, "a", mergePatch, []byte(`{"data":{"v":"3"}}`), metav1.PatchOptions{DryRun: all})
	e.outcome("patch", err)
	if err == nil {
		e.say("patch, then", "v=%s version %s", patched.Data["v"], relation(created.ResourceVersion, patched.ResourceVersion))
	}
	e.outcome("delete", maps.Delete(e.ctx, "a", metav1.DeleteOptions{DryRun: all}))
	found, err := maps.Get(e.ctx, "a", metav1.GetOptions{})
	if err != nil {
		return err
	}
	e.say("at last", "v=%s version %s", found.Data["v"], relation(created.ResourceVersion, found.ResourceVersion))
	_, err = maps.Create(e.ctx, configMap("b", "1", nil), metav1.CreateOptions{DryRun: []string{"Some"}})
	e.outcome("of an unknown kind", err)
	return nil
}

// deployment makes one that a real server takes.
func deployment(name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod("", "", nil).Spec},
		},
	}
}

// statusesAndScales: the subresources write their part alone, and the generation counts the spec's changes.
func statusesAndScales(e *env) error {
	deployments := e.client.AppsV1().Deployments(e.namespace)
	created, err := deployments.Create(e.ctx, deployment("web", 2), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	say := func(label string, it *appsv1.Deployment) {
		e.say(label, "replicas=%d ready=%d generation=%d observed=%d", *it.Spec.Replicas, it.Status.ReadyReplicas, it.Generation, it.Status.ObservedGeneration)
	}
	say("created", created)
	changed := created.DeepCopy()
	*changed.Spec.Replicas = 3
	changed.Status.ReadyReplicas = 1
	changed.Status.Replicas = 1
	updated, err := deployments.Update(e.ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	say("updated", updated)
	changed = updated.DeepCopy()
	*changed.Spec.Replicas = 4
	changed.Status = appsv1.DeploymentStatus{Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, ObservedGeneration: 2}
	updated, err = deployments.UpdateStatus(e.ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	say("status updated", updated)
	scale, err := deployments.GetScale(e.ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	e.say("scale", "%s wanted=%d there=%d selector=%s version %s", scale.Name, scale.Spec.Replicas, scale.Status.Replicas, scale.Status.Selector,
		relation(updated.ResourceVersion, scale.ResourceVersion))
	scale.Spec.Replicas = 7
	scaled, err := deployments.UpdateScale(e.ctx, "web", scale, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	e.say("scaled", "wanted=%d", scaled.Spec.Replicas)
	_, err = deployments.UpdateScale(e.ctx, "web", scale, metav1.UpdateOptions{})
	e.outcome("scaled from an old version", err)
	scaled.Spec.Replicas = -1
	_, err = deployments.UpdateScale(e.ctx, "web", scaled, metav1.UpdateOptions{})
	e.outcome("scaled below zero", err)
	_, err = deployments.UpdateScale(e.ctx, "absent", &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "absent"}}, metav1.UpdateOptions{})
	e.outcome("scale of an absent one", err)
	found, err := deployments.Get(e.ctx, "web", metav1.GetOptions{})
	if err == nil {
		say("at last", found)
	}
	return err
}

// evictions end a pod that nothing protects.
func evictions(e *env) error {
	pods := e.client.CoreV1().Pods(e.namespace)
	if _, err := pods.Create(e.ctx, pod("p", "1", nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	evict := func(name string) error {
		return pods.EvictV1(e.ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	e.outcome("evicted", evict("p"))
	_, err := pods.Get(e.ctx, "p", metav1.GetOptions{})
	e.outcome("then", err)
	e.outcome("an absent one", evict("absent"))
	return nil
}

// retryOnConflict: two writers of one object, each of which retries.
func retryOnConflict(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	if _, err := maps.Create(e.ctx, configMap("a", "1", nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	attempts := 0
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		found, err := maps.Get(e.ctx, "a", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if attempts++; attempts <= 2 {
			// Somebody comes in between.
			if err := e.putMap("a", fmt.Sprint(attempts), nil); err != nil {
				return err
			}
		}
		found.Data["mine"] = fmt.Sprint(attempts)
		_, err = maps.Update(e.ctx, found, metav1.UpdateOptions{})
		return err
	})
	e.outcome("retried", err)
	e.say("attempts", "%d", attempts)
	found, err := maps.Get(e.ctx, "a", metav1.GetOptions{})
	if err == nil {
		e.sayJSON("at last", found.Data)
	}
	return err
}

// refusals: requests that no server can serve, with their Statuses.
func refusals(e *env) error {
	do := func(label, verb, path string, change func(request) request) {
		it := e.client.CoreV1().RESTClient().Verb(verb).AbsPath(strings.ReplaceAll(path, "NS", e.namespace))
		if change != nil {
			it = change(it)
		}
		e.outcome(label, it.MaxRetries(0).Do(e.ctx).Error())
	}
	param := func(pairs ...string) func(request) request {
		return func(it request) request {
			for at := 0; at < len(pairs); at += 2 {
				it = it.Param(pairs[at], pairs[at+1])
			}
			return it
		}
	}
	body := func(kind, text string) func(request) request {
		return func(it request) request { return it.SetHeader("Content-Type", kind).Body([]byte(text)) }
	}
	maps := "/api/v1/namespaces/NS/configmaps"
	do("an unknown group", "GET", "/apis/odd.io/v1/things", nil)
	do("an unknown version", "GET", "/api/v7/pods", nil)
	do("an unknown resource", "GET", "/api/v1/namespaces/NS/things", nil)
	do("an unknown subresource", "GET", maps+"/a/odd", nil)
	do("an unknown page", "GET", "/odd", nil)
	do("a write to a collection", "PUT", maps, body("application/json", "{}"))
	do("a create of a named one", "POST", maps+"/a", body("application/json", "{}"))
	do("no body", "POST", maps, nil)
	do("a body that is no JSON", "POST", maps, body("application/json", "{"))
	do("a body that is no object", "POST", maps, body("application/json", "[]"))
	do("a body without kind", "POST", maps, body("application/json", `{"metadata":{"name":"a"}}`))
	do("a body of another kind", "POST", maps, body("application/json", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}`))
	do("a body of another version", "POST", maps, body("application/json", `{"apiVersion":"v7","kind":"ConfigMap","metadata":{"name":"a"}}`))
	do("a body of a wrong type", "POST", maps, body("application/json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":7}}`))
	do("a media type that is not read", "POST", maps, body("text/odd", "{}"))
	do("a large body", "POST", maps, body("application/json", `{"a":"`+strings.Repeat("x", 4<<20)+`"}`))
	do("a bad label selector", "GET", maps, param("labelSelector", "a in"))
	do("a bad field selector", "GET", maps, param("fieldSelector", "a"))
	do("an unknown field", "GET", maps, param("fieldSelector", "spec.a=b"))
	do("a bad limit", "GET", maps, param("limit", "x"))
	do("a bad version", "GET", maps, param("resourceVersion", "x"))
	do("a negative version", "GET", maps, param("resourceVersion", "-1"))
	do("a bad version match", "GET", maps, param("resourceVersionMatch", "Odd"))
	do("a match without a version", "GET", maps, param("resourceVersionMatch", "Exact"))
	do("an exact match of zero", "GET", maps, param("resourceVersionMatch", "Exact", "resourceVersion", "0"))
	do("a bad token", "GET", maps, param("continue", "x"))
	do("a token and a version", "GET", maps, param("continue", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0", "resourceVersion", "5"))
	do("a watch of a bad version", "GET", maps, param("watch", "1", "resourceVersion", "x"))
	do("a watch with a match alone", "GET", maps, param("watch", "1", "resourceVersionMatch", "NotOlderThan"))
	do("initial events without a match", "GET", maps, param("watch", "1", "sendInitialEvents", "true"))
	do("initial events without a watch", "GET", maps, param("sendInitialEvents", "true"))
	do("initial events without bookmarks", "GET", maps, param("watch", "1", "sendInitialEvents", "true", "resourceVersionMatch", "NotOlderThan", "timeoutSeconds", "1"))
	do("an answer that is not made", "GET", maps, func(it request) request { return it.SetHeader("Accept", "text/odd") })
	do("an unknown validation", "POST", maps, func(it request) request {
		return body("application/json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`)(it).Param("fieldValidation", "Odd")
	})
	return nil
}
