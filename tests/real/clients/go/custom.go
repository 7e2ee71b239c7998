package main

import (
	"context"
	"fmt"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	definitions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	typed "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
)

var customCases = []testCase{
	{name: "dynamic-informers", run: dynamicInformers},
	{name: "definition-made-anew", run: definitionMadeAnew},
	{name: "definition-in-protobuf", run: definitionInProtobuf},
	{name: "custom-writes", run: customWrites},
	{name: "metadata-informer", run: metadataInformer},
}

var mapResource = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// gear is a custom kind; the group keeps cases apart, which share a server.
func gear(group string) (*apiextensions.CustomResourceDefinition, schema.GroupVersionResource) {
	least := 1.0
	longest := int64(4)
	integer := apiextensions.JSONSchemaProps{Type: "integer", Minimum: &least}
	spec := apiextensions.JSONSchemaProps{
		Type: "object", Required: []string{"teeth"},
		Properties: map[string]apiextensions.JSONSchemaProps{
			"teeth": integer,
			"color": {Type: "string", MaxLength: &longest, Default: &apiextensions.JSON{Raw: []byte(`"grey"`)}},
			"tags":  {Type: "array", Items: &apiextensions.JSONSchemaPropsOrArray{Schema: &apiextensions.JSONSchemaProps{Type: "string"}}},
		},
	}
	status := apiextensions.JSONSchemaProps{Type: "object", Properties: map[string]apiextensions.JSONSchemaProps{"turns": {Type: "integer"}}}
	root := apiextensions.JSONSchemaProps{Type: "object", Properties: map[string]apiextensions.JSONSchemaProps{"spec": spec, "status": status}}
	definition := &apiextensions.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "gears." + group},
		Spec: apiextensions.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensions.NamespaceScoped,
			Names: apiextensions.CustomResourceDefinitionNames{Plural: "gears", Kind: "Gear", ShortNames: []string{"gr"}},
			Versions: []apiextensions.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema:       &apiextensions.CustomResourceValidation{OpenAPIV3Schema: &root},
				Subresources: &apiextensions.CustomResourceSubresources{Status: &apiextensions.CustomResourceSubresourceStatus{}},
			}},
		},
	}
	return definition, schema.GroupVersionResource{Group: group, Version: "v1", Resource: "gears"}
}

func newGear(group, name, value string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group + "/v1", "kind": "Gear",
		"metadata": map[string]any{"name": name, "annotations": map[string]any{"v": value}},
		"spec":     spec,
	}}
}

func teeth(count int64) map[string]any { return map[string]any{"teeth": count} }

// definitions is a client of definitions that writes JSON; its default is protobuf.
func (e *env) definitions() (typed.CustomResourceDefinitionInterface, error) {
	config := rest.CopyConfig(e.direct)
	config.ContentType = "application/json"
	client, err := definitions.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.ApiextensionsV1().CustomResourceDefinitions(), nil
}

// define creates a definition and waits until its kind is served.
func (e *env) define(definition *apiextensions.CustomResourceDefinition, resource schema.GroupVersionResource) error {
	all, err := e.definitions()
	if err != nil {
		return err
	}
	if _, err := all.Create(e.ctx, definition, metav1.CreateOptions{}); err != nil {
		return err
	}
	return e.until(func() (bool, error) {
		found, err := all.Get(e.ctx, definition.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, condition := range found.Status.Conditions {
			if condition.Type == apiextensions.Established && condition.Status == apiextensions.ConditionTrue {
				_, err := e.dynamic.Resource(resource).Namespace(e.namespace).List(e.ctx, metav1.ListOptions{})
				return err == nil, nil
			}
		}
		return false, nil
	})
}

// until looks again and again until it is so.
func (e *env) until(isSo func() (bool, error)) error {
	return wait.PollUntilContextCancel(e.ctx, 20*time.Millisecond, true, func(context.Context) (bool, error) { return isSo() })
}

// dynamicInformers: a factory over a custom and a built-in kind.
func dynamicInformers(e *env) error {
	group := "dynamic.example.com"
	definition, resource := gear(group)
	if err := e.define(definition, resource); err != nil {
		return err
	}
	gears := e.dynamic.Resource(resource).Namespace(e.namespace)
	if _, err := gears.Create(e.ctx, newGear(group, "g1", "1", teeth(8)), metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := e.putMap("m1", "1", nil); err != nil {
		return err
	}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(e.dynamic, 0, e.namespace, nil)
	var ofGears, ofMaps told
	for it, resource := range map[*told]schema.GroupVersionResource{&ofGears: resource, &ofMaps: mapResource} {
		if _, err := factory.ForResource(resource).Informer().AddEventHandler(it.handler()); err != nil {
			return err
		}
	}
	stop := e.ctx.Done()
	factory.Start(stop)
	synced := factory.WaitForCacheSync(stop)
	e.say("synced", "gears=%t maps=%t", synced[resource], synced[mapResource])
	return steps(
		func() error { return e.sayTold("gears", &ofGears.lines, 1, false) },
		func() error { return e.sayTold("maps", &ofMaps.lines, 1, false) },
		func() error {
			found, err := gears.Get(e.ctx, "g1", metav1.GetOptions{})
			if err != nil {
				return err
			}
			e.sayJSON("defaulted", found.Object["spec"])
			found.SetAnnotations(map[string]string{"v": "2"})
			_, err = gears.Update(e.ctx, found, metav1.UpdateOptions{})
			return err
		},
		func() error { return gears.Delete(e.ctx, "g1", metav1.DeleteOptions{}) },
		func() error { return e.putMap("m1", "2", nil) },
		func() error { return e.sayTold("gears live", &ofGears.lines, 2, false) },
		func() error { return e.sayTold("maps live", &ofMaps.lines, 1, false) },
	)
}

// definitionMadeAnew: with a definition its objects go, watches end, and the next of its name begins empty.
func definitionMadeAnew(e *env) error {
	group := "anew.example.com"
	definition, resource := gear(group)
	if err := e.define(definition, resource); err != nil {
		return err
	}
	gears := e.dynamic.Resource(resource).Namespace(e.namespace)
	if _, err := gears.Create(e.ctx, newGear(group, "old", "1", teeth(8)), metav1.CreateOptions{}); err != nil {
		return err
	}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(e.dynamic, 0, e.namespace, nil)
	var it told
	if _, err := factory.ForResource(resource).Informer().AddEventHandler(it.handler()); err != nil {
		return err
	}
	factory.Start(e.ctx.Done())
	all, err := e.definitions()
	if err != nil {
		return err
	}
	var before string
	return steps(
		func() error { return e.sayTold("synced", &it.lines, 1, false) },
		func() error {
			found, err := all.Get(e.ctx, definition.Name, metav1.GetOptions{})
			if err == nil {
				before = string(found.UID)
				e.say("finalizers", "%v", found.Finalizers)
				err = all.Delete(e.ctx, definition.Name, metav1.DeleteOptions{})
			}
			return err
		},
		func() error { return e.sayTold("deleted", &it.lines, 1, false) },
		func() error {
			return e.until(func() (bool, error) {
				_, err := all.Get(e.ctx, definition.Name, metav1.GetOptions{})
				_, listed := gears.List(e.ctx, metav1.ListOptions{})
				return apierrors.IsNotFound(err) && apierrors.IsNotFound(listed), nil
			})
		},
		func() error {
			_, err := gears.List(e.ctx, metav1.ListOptions{})
			e.outcome("list without definition", err)
			_, err = gears.Create(e.ctx, newGear(group, "new", "1", teeth(8)), metav1.CreateOptions{})
			e.outcome("create without definition", err)
			definition, _ := gear(group)
			return e.define(definition, resource)
		},
		func() error {
			found, err := all.Get(e.ctx, definition.Name, metav1.GetOptions{})
			if err == nil {
				e.say("uid", "%s", map[bool]string{true: "same", false: "another"}[before == string(found.UID)])
				_, err = gears.Create(e.ctx, newGear(group, "new", "2", teeth(9)), metav1.CreateOptions{})
			}
			return err
		},
		func() error { return e.sayTold("made anew", &it.lines, 1, false) },
	)
}

// definitionInProtobuf: the clientset of definitions prefers protobuf.
func definitionInProtobuf(e *env) error {
	client, err := definitions.NewForConfig(e.direct)
	if err != nil {
		return err
	}
	definition, _ := gear("protobuf.example.com")
	created, err := client.ApiextensionsV1().CustomResourceDefinitions().Create(e.ctx, definition, metav1.CreateOptions{})
	e.outcome("created", err)
	if err == nil {
		e.sayJSON("schema", created.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"])
	}
	return nil
}

// customWrites: what a schema asks, what it drops, and what the status subresource keeps apart.
func customWrites(e *env) error {
	group := "writes.example.com"
	definition, resource := gear(group)
	if err := e.define(definition, resource); err != nil {
		return err
	}
	gears := e.dynamic.Resource(resource).Namespace(e.namespace)
	refused := []struct {
		label string
		spec  map[string]any
	}{
		{"no teeth", map[string]any{}},
		{"too few teeth", teeth(0)},
		{"teeth of a wrong type", map[string]any{"teeth": "eight"}},
		{"a long color", map[string]any{"teeth": int64(8), "color": "violet"}},
		{"tags of a wrong type", map[string]any{"teeth": int64(8), "tags": []any{int64(1)}}},
	}
	for _, row := range refused {
		_, err := gears.Create(e.ctx, newGear(group, "bad", "1", row.spec), metav1.CreateOptions{})
		e.outcome(row.label, err)
	}
	odd := map[string]any{"teeth": int64(8), "teet": int64(9)}
	_, err := gears.Create(e.ctx, newGear(group, "strict", "1", odd), metav1.CreateOptions{FieldValidation: "Strict"})
	e.outcome("unknown field, strict", err)
	created, err := gears.Create(e.ctx, newGear(group, "g", "1", odd), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	e.sayJSON("pruned and defaulted", created.Object["spec"])
	e.say("generation of a new one", "%d", created.GetGeneration())
	withStatus := created.DeepCopy()
	withStatus.Object["status"] = map[string]any{"turns": int64(3)}
	updated, err := gears.Update(e.ctx, withStatus, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	e.say("status through the main resource", "%v version %s", updated.Object["status"], relation(created.GetResourceVersion(), updated.GetResourceVersion()))
	withStatus.SetResourceVersion(updated.GetResourceVersion())
	withStatus.Object["spec"] = teeth(99)
	updated, err = gears.UpdateStatus(e.ctx, withStatus, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	e.sayJSON("status through its own", map[string]any{"spec": updated.Object["spec"], "status": updated.Object["status"], "generation": updated.GetGeneration()})
	_, err = gears.UpdateStatus(e.ctx, withStatus, metav1.UpdateOptions{})
	e.outcome("status of an old version", err)
	bare := updated.DeepCopy()
	bare.SetResourceVersion("")
	_, err = gears.Update(e.ctx, bare, metav1.UpdateOptions{})
	e.outcome("update without a version", err)
	other := updated.DeepCopy()
	other.SetKind("Wheel")
	_, err = gears.Update(e.ctx, other, metav1.UpdateOptions{})
	e.outcome("update of another kind", err)
	_, err = gears.Get(e.ctx, "absent", metav1.GetOptions{})
	e.outcome("get of an absent one", err)
	_, err = gears.List(e.ctx, metav1.ListOptions{FieldSelector: "spec.teeth=8"})
	e.outcome("list by a field that is not selectable", err)
	_, err = gears.Get(e.ctx, "g", metav1.GetOptions{}, "scale")
	e.outcome("scale that is not served", err)
	return nil
}

// metadataInformer: objects come without what is not metadata (pr-N1).
func metadataInformer(e *env) error {
	client, err := metadata.NewForConfig(e.direct)
	if err != nil {
		return err
	}
	group := "metadata.example.com"
	definition, resource := gear(group)
	if err := e.define(definition, resource); err != nil {
		return err
	}
	gears := e.dynamic.Resource(resource).Namespace(e.namespace)
	if _, err := gears.Create(e.ctx, newGear(group, "g1", "1", teeth(8)), metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := e.putMap("m1", "1", map[string]string{"a": "b"}); err != nil {
		return err
	}
	factory := metadatainformer.NewFilteredSharedInformerFactory(client, 0, e.namespace, nil)
	var ofGears, ofMaps told
	for it, resource := range map[*told]schema.GroupVersionResource{&ofGears: resource, &ofMaps: mapResource} {
		if _, err := factory.ForResource(resource).Informer().AddEventHandler(it.handler()); err != nil {
			return err
		}
	}
	factory.Start(e.ctx.Done())
	factory.WaitForCacheSync(e.ctx.Done())
	return steps(
		func() error { return e.sayTold("gears", &ofGears.lines, 1, false) },
		func() error { return e.sayTold("maps", &ofMaps.lines, 1, false) },
		func() error {
			held, err := factory.ForResource(mapResource).Lister().ByNamespace(e.namespace).Get("m1")
			if err != nil {
				return err
			}
			it, ok := held.(*metav1.PartialObjectMetadata)
			if !ok {
				return fmt.Errorf("%T", held)
			}
			e.say("held", "%s %s %s %v", it.APIVersion, it.Kind, it.Name, it.Labels)
			patched, err := client.Resource(mapResource).Namespace(e.namespace).Patch(e.ctx, "m1", mergePatch, []byte(`{"metadata":{"annotations":{"v":"2"}},"data":{"v":"3"}}`), metav1.PatchOptions{})
			if err != nil {
				return err
			}
			e.say("patched", "%s %s v=%s", patched.APIVersion, patched.Kind, patched.Annotations["v"])
			listed, err := client.Resource(mapResource).Namespace(e.namespace).List(e.ctx, metav1.ListOptions{LabelSelector: "a=b"})
			if err != nil {
				return err
			}
			e.say("listed", "%s %s %d items", listed.APIVersion, listed.Kind, len(listed.Items))
			return client.Resource(mapResource).Namespace(e.namespace).Delete(e.ctx, "m1", metav1.DeleteOptions{})
		},
		func() error { return e.sayTold("maps live", &ofMaps.lines, 2, false) },
	)
}
