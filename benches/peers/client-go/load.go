// Fills a real API server with pods, for the scenario that measures against one.
package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// writers send at once; the server's own etcd is the bound.
const writers = 16

// load creates the pods. Nothing schedules them, so they stay Pending; the server adds its
// defaults and managedFields, which makes them about 5 KB of JSON.
func load(o options) error {
	o.protobuf = true
	config, err := o.config()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	numbers := make(chan int)
	failed := make(chan error, writers)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for number := range numbers {
				pods := client.CoreV1().Pods(metav1.NamespaceDefault)
				if _, err := pods.Create(context.Background(), pod(number), metav1.CreateOptions{}); err != nil {
					failed <- fmt.Errorf("create pod %d: %w", number, err)
					return
				}
			}
		})
	}
feed:
	for number := range o.load {
		select {
		case numbers <- number:
		case err = <-failed:
			break feed
		}
	}
	close(numbers)
	group.Wait()
	if err == nil && len(failed) > 0 {
		err = <-failed
	}
	return err
}

// pod is one with the fields that a deployment's pods have.
func pod(number int) *corev1.Pod {
	app := fmt.Sprintf("app-%05d", number/20)
	probe := &corev1.Probe{PeriodSeconds: 10}
	probe.Exec = &corev1.ExecAction{Command: []string{"/bin/healthy", "--all"}}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("app-%05d-%06d", number/20, number),
			Labels: map[string]string{
				"app": app, "pod-template-hash": "7d9c5b8f64", "team": "team-12", "tier": "backend", "version": "v1.7.0",
			},
			Annotations: map[string]string{
				"prometheus.io/port": "9090", "prometheus.io/scrape": "true", "example.com/build": "2026-10-01.4711",
				"example.com/config-hash": strings.Repeat(fmt.Sprintf("%016x", number), 4),
				"example.com/note":        "rolled out by the release pipeline, see the run book for how to roll back",
			},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name:  "app",
				Image: "registry.example.com/shop/" + app + ":v1.7.0",
				Args:  []string{"serve", "--listen=:8080", "--config=/etc/app/config.yaml"},
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "metrics", ContainerPort: 9090}},
				Env: []corev1.EnvVar{
					{Name: "LOG_LEVEL", Value: "info"},
					{Name: "CACHE_ADDR", Value: "cache-07.ns-07.svc.cluster.local:6379"},
					{Name: "QUEUE_ADDR", Value: "queue-07.ns-07.svc.cluster.local:5672"},
				},
				Resources: corev1.ResourceRequirements{
					Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
					Requests: corev1.ResourceList{
						corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("256Mi"),
					},
				},
				LivenessProbe:  probe,
				ReadinessProbe: probe,
				VolumeMounts:   []corev1.VolumeMount{{Name: "config", MountPath: "/etc/app", ReadOnly: true}},
			}},
			Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
				ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: app}},
			}}},
		},
	}
}
