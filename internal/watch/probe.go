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

package watch

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	probeInterval = 2 * time.Second
	probeTimeout  = 10 * time.Second
)

// probe finds out, for versions that nodes wait for in vain, whether they exist at
// all: the API server may have been restored from a backup.
func (w *kindWatch) probe(ctx context.Context) {
	awaited := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait.Jitter(probeInterval, jitter)):
		}
		var overdue []string
		earlier := awaited
		awaited = map[string]bool{}
		for _, version := range w.table.Awaited() {
			awaited[version] = true
			if earlier[version] {
				overdue = append(overdue, version)
			}
		}
		if len(overdue) == 0 {
			continue
		}
		if current, err := w.currentVersion(ctx); err != nil {
			w.log.V(1).Info("Cannot tell how far the API server has come", "error", err.Error())
		} else {
			w.table.Rewind(overdue, current)
		}
	}
}

// currentVersion is the latest resource version of the kind. Leaving out the version
// in the request demands a consistent read.
func (w *kindWatch) currentVersion(ctx context.Context) (string, error) {
	w.set.mu.Lock()
	res := w.resource
	w.set.mu.Unlock()
	if res == nil {
		return "", errKindUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	list, err := w.set.dynamic.Resource(res.GroupVersionResource).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return "", err
	}
	return list.GetResourceVersion(), nil
}
