// Measures client-go's workqueue, or controller-runtime's priority queue, under the loads of
// ../tidings/workqueue.rs: nanoseconds and allocations an operation, as one JSON object.
//
// client-go's queue counts nothing and reads no clock unless it has a metrics provider: with
// "workqueue-metrics" it has one of plain counters, as ours and controller-runtime's always have.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
)

const (
	keysLen = 1024
	waiting = 100_000
	many    = 1_000_000
	rounds  = 51
	crowds  = 15
	workers = 4
)

type queue = workqueue.TypedRateLimitingInterface[string]

// maker makes an empty queue; turns is how many operations a round has.
type maker struct {
	make  func() queue
	turns int
}

func main() {
	limiter := workqueue.DefaultTypedControllerRateLimiter[string]
	makers := map[string]maker{
		"workqueue": {func() queue { return workqueue.NewTypedRateLimitingQueue(limiter()) }, 20_000},
		"workqueue-metrics": {func() queue {
			return workqueue.NewTypedRateLimitingQueueWithConfig(limiter(),
				workqueue.TypedRateLimitingQueueConfig[string]{Name: "bench", MetricsProvider: provider{}})
		}, 20_000},
		"priorityqueue": {func() queue { return priorityqueue.New[string]("bench") }, 2_000},
	}
	if len(os.Args) != 2 || makers[os.Args[1]].make == nil {
		fmt.Fprintln(os.Stderr, "one of workqueue, workqueue-metrics and priorityqueue")
		os.Exit(2)
	}
	m := makers[os.Args[1]]
	figures := map[string]any{
		"turn":      m.turn(0),
		"waiting":   m.turn(waiting),
		"dirty":     m.dirty(),
		"add_after": m.addAfter(),
		"crowd":     measure(crowds, waiting, m.crowd()),
	}
	figures["many_ns"], figures["many_bytes"] = m.many()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"workqueue": figures}); err != nil {
		os.Exit(1)
	}
}

func keys(from, count int) []string {
	made := make([]string, count)
	for at := range made {
		made[at] = fmt.Sprintf("namespace-%d/object-%07d", (from+at)%16, from+at)
	}
	return made
}

// figure is the median and the least of the rounds, an operation, and the allocations of one.
type figure struct {
	Ns          float64 `json:"ns"`
	Least       float64 `json:"least"`
	Allocations float64 `json:"allocations"`
}

func measure(rounds, operations int, round func()) figure {
	round()
	times := make([]float64, rounds)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for at := range times {
		began := time.Now()
		round()
		times[at] = float64(time.Since(began).Nanoseconds()) / float64(operations)
	}
	runtime.ReadMemStats(&after)
	slices.Sort(times)
	allocations := float64(after.Mallocs-before.Mallocs) / float64(operations*rounds)
	return figure{times[rounds/2], times[0], allocations}
}

func assert(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

// turn adds a key, takes one and is done with it, while so many wait.
func (m maker) turn(wait int) figure {
	all := keys(0, keysLen+wait)
	q := m.make()
	defer q.ShutDown()
	for _, key := range all[:wait] {
		q.Add(key)
	}
	next := wait
	measured := measure(rounds, m.turns, func() {
		for range m.turns {
			q.Add(all[next%len(all)])
			next++
			key, _ := q.Get()
			q.Done(key)
		}
	})
	assert(q.Len() == wait, "as many wait as before")
	return measured
}

func (m maker) dirty() figure {
	all := keys(0, keysLen)
	q := m.make()
	defer q.ShutDown()
	measured := measure(rounds, m.turns, func() {
		for at := range m.turns {
			q.Add(all[at%keysLen])
		}
	})
	assert(q.Len() == keysLen, "each key waits once")
	return measured
}

// addAfter adds 20 000 new keys to a queue in which 100 000 wait; a queue a round, since a delayed
// key cannot be taken back.
func (m maker) addAfter() figure {
	all, delays := keys(0, waiting+20_000), delays(waiting+20_000)
	times := make([]float64, 5)
	for at := range times {
		q := m.make()
		for i := range waiting {
			q.AddAfter(all[i], delays[i])
		}
		began := time.Now()
		for i := waiting; i < len(all); i++ {
			q.AddAfter(all[i], delays[i])
		}
		times[at] = float64(time.Since(began).Nanoseconds()) / 20_000
		q.ShutDown()
	}
	slices.Sort(times)
	return figure{Ns: times[len(times)/2], Least: times[0]}
}

// delays are of one minute to one hour, in no order.
func delays(count int) []time.Duration {
	made, state := make([]time.Duration, count), uint64(7)
	for at := range made {
		state = state*6364136223846793005 + 1442695040888963407
		made[at] = (time.Duration((state>>20)%60_000_000) + 1_000_000) * time.Microsecond * 60
	}
	return made
}

// crowd has four goroutines add a quarter of the keys each, and four others work on them.
func (m maker) crowd() func() {
	all := keys(0, waiting)
	return func() {
		q := m.make()
		var worked atomic.Int64
		var all4 sync.WaitGroup
		for range workers {
			all4.Go(func() {
				for {
					key, down := q.Get()
					if down {
						return
					}
					q.Done(key)
					if worked.Add(1) == waiting {
						q.ShutDown()
					}
				}
			})
		}
		for part := range slices.Chunk(all, waiting/workers) {
			all4.Go(func() {
				for _, key := range part {
					q.Add(key)
				}
			})
		}
		all4.Wait()
		assert(worked.Load() == waiting, "each key is worked on once")
	}
}

// many returns the mean time of an addition when a million keys are queued in the end, and the
// bytes of the heap that each takes beside its string's header.
func (m maker) many() (float64, float64) {
	all := keys(0, many)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	q := m.make()
	began := time.Now()
	for _, key := range all {
		q.Add(key)
	}
	took := float64(time.Since(began).Nanoseconds()) / many
	assert(q.Len() == many, "all of them wait")
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytes := float64(after.HeapAlloc) - float64(before.HeapAlloc)
	runtime.KeepAlive(all)
	q.ShutDown()
	return took, bytes/many - 16
}

// provider counts in plain words, as cheaply as a registry could.
type provider struct{}

type counter struct{ value atomic.Int64 }

func (c *counter) Inc()            { c.value.Add(1) }
func (c *counter) Dec()            { c.value.Add(-1) }
func (c *counter) Set(v float64)   { c.value.Store(int64(v)) }
func (c *counter) Observe(float64) { c.value.Add(1) }

func (provider) NewDepthMetric(string) workqueue.GaugeMetric            { return new(counter) }
func (provider) NewAddsMetric(string) workqueue.CounterMetric           { return new(counter) }
func (provider) NewLatencyMetric(string) workqueue.HistogramMetric      { return new(counter) }
func (provider) NewWorkDurationMetric(string) workqueue.HistogramMetric { return new(counter) }
func (provider) NewUnfinishedWorkSecondsMetric(string) workqueue.SettableGaugeMetric {
	return new(counter)
}
func (provider) NewLongestRunningProcessorSecondsMetric(string) workqueue.SettableGaugeMetric {
	return new(counter)
}
func (provider) NewRetriesMetric(string) workqueue.CounterMetric { return new(counter) }
