/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package hub

import "sync"

// worker takes a step whenever it has been asked to since the last one began, one step at a
// time. It has a goroutine only meanwhile: thousands of idle ones cost no stack.
type worker struct {
	mu   sync.Mutex
	step func() (over bool)
	// asked: somebody has asked since the last step began. running: there is a goroutine,
	// or the last step has been taken.
	asked, running bool
	// over is closed after the last step.
	over chan struct{}
}

func newWorker() worker { return worker{over: make(chan struct{})} }

// start has the worker take steps until one is the last. It may have been asked before.
func (w *worker) start(step func() (over bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step = step
	w.launch()
}

// ask has a step begin, now or after the one under way. It never waits for one.
func (w *worker) ask() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = true
	w.launch()
}

func (w *worker) launch() {
	if w.asked && !w.running && w.step != nil {
		w.running = true
		go w.run()
	}
}

func (w *worker) run() {
	for w.next() {
		if w.step() {
			close(w.over)
			return
		}
	}
}

func (w *worker) next() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running, w.asked = w.asked, false
	return w.running
}
