package main

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
)

var applyCases = []testCase{
	{name: "apply", run: apply},
	{name: "apply-custom", run: applyCustom},
	{name: "apply-lists", run: applyLists},
}

// owners tells who manages what.
func (e *env) owners(label string, fields []metav1.ManagedFieldsEntry) {
	fields = slices.Clone(fields)
	slices.SortFunc(fields, func(a, b metav1.ManagedFieldsEntry) int {
		return slices.Compare([]string{a.Manager, string(a.Operation), a.Subresource}, []string{b.Manager, string(b.Operation), b.Subresource})
	})
	all := map[string]string{}
	for _, it := range fields {
		all[it.Manager+" "+string(it.Operation)+" "+it.Subresource] = it.FieldsV1.String()
	}
	e.sayJSON(label, all)
}

// apply: ownership, removal, conflicts and force of a typed object.
func apply(e *env) error {
	maps := e.client.CoreV1().ConfigMaps(e.namespace)
	as := func(label, manager string, force bool, data map[string]string) *corev1.ConfigMap {
		it := applycore.ConfigMap("a", e.namespace).WithData(data)
		applied, err := maps.Apply(e.ctx, it, metav1.ApplyOptions{FieldManager: manager, Force: force})
		e.outcome(label, err)
		if err != nil {
			return nil
		}
		e.sayJSON(label+", data", applied.Data)
		e.owners(label+", owners", applied.ManagedFields)
		return applied
	}
	first := as("created", "one", false, map[string]string{"x": "1", "y": "1"})
	again := as("again", "one", false, map[string]string{"x": "1", "y": "1"})
	if first == nil || again == nil {
		return nil
	}
	e.say("again, version", "%s", relation(first.ResourceVersion, again.ResourceVersion))
	as("by another, the same value", "two", false, map[string]string{"x": "1"})
	as("by another, another value", "two", false, map[string]string{"x": "2"})
	as("by another, forced", "two", true, map[string]string{"x": "2"})
	as("without a field", "one", false, map[string]string{})
	as("nothing left", "two", false, nil)
	found, err := maps.Get(e.ctx, "a", metav1.GetOptions{})
	if err != nil {
		return err
	}
	found.Data = map[string]string{"z": "1"}
	if found, err = maps.Update(e.ctx, found, metav1.UpdateOptions{FieldManager: "hand"}); err != nil {
		return err
	}
	e.owners("after an update", found.ManagedFields)
	as("against an update", "one", false, map[string]string{"z": "2"})
	extracted, err := applycore.ExtractConfigMap(found, "hand")
	if err != nil {
		return err
	}
	e.sayJSON("extracted of nobody's apply", extracted.Data)
	_, err = maps.Apply(e.ctx, applycore.ConfigMap("a", e.namespace), metav1.ApplyOptions{})
	e.outcome("without a manager", err)
	_, err = maps.Patch(e.ctx, "a", types.ApplyPatchType, []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"other"}}`), metav1.PatchOptions{FieldManager: "one"})
	e.outcome("of another name", err)
	_, err = maps.Patch(e.ctx, "a", types.ApplyPatchType, []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"managedFields":[{}]}}`), metav1.PatchOptions{FieldManager: "one"})
	e.outcome("with managed fields", err)
	_, err = maps.Patch(e.ctx, "a", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{Force: new(bool)})
	e.outcome("force without apply", err)
	return nil
}

// applyCustom: the same of an unstructured object, whose schema has lists.
func applyCustom(e *env) error {
	group := "apply.example.com"
	definition, resource := gear(group)
	if err := e.define(definition, resource); err != nil {
		return err
	}
	gears := e.dynamic.Resource(resource).Namespace(e.namespace)
	as := func(label, manager string, force bool, spec map[string]any) {
		it := newGear(group, "g", "1", spec)
		it.SetAnnotations(nil)
		applied, err := gears.Apply(e.ctx, "g", it, metav1.ApplyOptions{FieldManager: manager, Force: force})
		e.outcome(label, err)
		if err == nil {
			e.sayJSON(label+", spec", applied.Object["spec"])
			e.owners(label+", owners", applied.GetManagedFields())
		}
	}
	as("created", "one", false, map[string]any{"teeth": int64(8), "tags": []any{"a"}})
	as("another's list", "two", false, map[string]any{"teeth": int64(8), "tags": []any{"b"}})
	as("another's list, forced", "two", true, map[string]any{"teeth": int64(8), "tags": []any{"b"}})
	as("invalid", "one", false, map[string]any{"teeth": int64(0)})
	as("less", "one", false, map[string]any{"teeth": int64(8)})
	status := newGear(group, "g", "1", nil)
	status.SetAnnotations(nil)
	status.Object["status"] = map[string]any{"turns": int64(2)}
	delete(status.Object, "spec")
	applied, err := gears.ApplyStatus(e.ctx, "g", status, metav1.ApplyOptions{FieldManager: "status"})
	e.outcome("status", err)
	if err == nil {
		e.sayJSON("status, then", applied.Object["status"])
		e.owners("status, owners", applied.GetManagedFields())
	}
	return nil
}

// applyLists: lists that merge by key, of a pod's containers and their ports.
func applyLists(e *env) error {
	pods := e.client.CoreV1().Pods(e.namespace)
	container := func(name, image string) *applycore.ContainerApplyConfiguration {
		return applycore.Container().WithName(name).WithImage(image)
	}
	as := func(label, manager string, all ...*applycore.ContainerApplyConfiguration) {
		it := applycore.Pod("p", e.namespace).WithSpec(applycore.PodSpec().WithContainers(all...))
		applied, err := pods.Apply(e.ctx, it, metav1.ApplyOptions{FieldManager: manager})
		e.outcome(label, err)
		if err != nil {
			return
		}
		var names []string
		for _, it := range applied.Spec.Containers {
			names = append(names, it.Name+"="+it.Image)
		}
		e.say(label+", containers", "%v", names)
		e.owners(label+", owners", applied.ManagedFields)
	}
	as("created", "one", container("a", "i:1"), container("b", "i:1"))
	as("a new image", "one", container("a", "i:2"), container("b", "i:1"))
	as("another's image", "two", container("a", "i:3"))
	as("shared image", "two", container("b", "i:1"))
	return nil
}
