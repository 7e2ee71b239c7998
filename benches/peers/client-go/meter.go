// Reads the CPU time and the memory of this process, and sums up samples.
package main

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/cache"
)

// usage is CPU time in microseconds and minor faults, of the whole process.
type usage struct {
	userUs, systemUs, minorFaults int64
}

func usageNow() usage {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}
	}
	micros := func(t syscall.Timeval) int64 { return t.Sec*1_000_000 + t.Usec }
	return usage{micros(r.Utime), micros(r.Stime), r.Minflt}
}

func (u usage) since(before usage) usage {
	return usage{u.userUs - before.userUs, u.systemUs - before.systemUs, u.minorFaults - before.minorFaults}
}

func (u usage) cpuMs() float64 {
	return float64(u.userUs+u.systemUs) / 1e3
}

// putSync adds the figures of the sync to the report.
func putSync(report map[string]any, u usage) {
	report["sync_cpu_ms"] = u.cpuMs()
	report["sync_user_ms"] = float64(u.userUs) / 1e3
	report["sync_system_ms"] = float64(u.systemUs) / 1e3
	report["sync_minor_faults"] = u.minorFaults
	report["rss_bytes"] = statusBytes("VmRSS:")
	report["peak_rss_bytes"] = statusBytes("VmHWM:")
}

// statusBytes reads one size from the kernel's status file of this process; 0 where there is none.
func statusBytes(name string) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, name); found {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb * 1024
		}
	}
	return 0
}

// percentiles sorts the samples and returns p50, p99, p999 and max, each divided by unit.
func percentiles(samples []int64, unit float64) map[string]float64 {
	slices.Sort(samples)
	at := func(share float64) float64 {
		if len(samples) == 0 {
			return 0
		}
		return float64(samples[int(float64(len(samples)-1)*share+0.5)]) / unit
	}
	return map[string]float64{"p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": at(1)}
}

const (
	warmUp     = 5 * time.Second // the server begins its events some seconds after the sync
	hotKeys    = 1024            // as many as stay in the caches
	batch      = 256
	samplesMax = 1 << 22
)

// readStore reads while the informer writes, first a few keys that stay in the CPU's caches, then
// all of them, which is mostly memory latency.
func readStore(store cache.Store, duration time.Duration) map[string]any {
	keys := store.ListKeys()
	hot := make([]string, 0, hotKeys)
	for i := 0; i < len(keys) && len(hot) < hotKeys; i += max(1, len(keys)/hotKeys) {
		hot = append(hot, keys[i])
	}
	time.Sleep(warmUp)
	report := map[string]any{}
	for name, figure := range readKeys(store, hot, duration/2) {
		report[name] = figure
	}
	report["all_keys"] = readKeys(store, keys, duration/2)
	return report
}

// readKeys returns the mean of batches without a clock inside, and percentiles of single gets,
// which contain one reading of the clock ("timer").
func readKeys(store cache.Store, keys []string, duration time.Duration) map[string]float64 {
	singles := make([]int64, 0, samplesMax)
	var batches, batchNs int64
	for end := time.Now().Add(duration); time.Now().Before(end); {
		start := time.Now()
		for range batch {
			if _, found, err := store.GetByKey(keys[rand.IntN(len(keys))]); !found || err != nil {
				panic("a listed pod is not in the store")
			}
		}
		batchNs += time.Since(start).Nanoseconds()
		batches++
		for range batch {
			key := keys[rand.IntN(len(keys))]
			start := time.Now()
			_, _, _ = store.GetByKey(key)
			elapsed := time.Since(start).Nanoseconds()
			if len(singles) < samplesMax {
				singles = append(singles, elapsed)
			}
		}
	}
	timer := make([]int64, 100_000)
	for i := range timer {
		timer[i] = time.Since(time.Now()).Nanoseconds()
	}
	report := percentiles(singles, 1)
	report["mean"] = float64(batchNs) / float64(batches*batch)
	report["timer"] = percentiles(timer, 1)["p50"]
	return report
}
