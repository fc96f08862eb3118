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

package controllers

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/object"
)

const (
	// cachePause is how soon an object is looked at again that the cache has as it was
	// before the last write.
	cachePause = 50 * time.Millisecond
	// cachePatience is how long that write is waited for: an API server that was
	// restored from a backup may not have it any longer.
	cachePatience = 10 * time.Second
)

// ownWrite is the last write of a status by this manager. A status from the cache that
// is older must not be taken for what is written: if what it says has come true again,
// nothing would be written, and nothing tells when the cache has caught up.
type ownWrite struct {
	version string
	at      time.Time
}

// written notes that obj is as it was written.
func (w *ownWrite) written(obj client.Object, now time.Time) {
	*w = ownWrite{version: obj.GetResourceVersion(), at: now}
}

// unseen reports whether obj is older than the write.
func (w *ownWrite) unseen(obj client.Object, now time.Time) bool {
	return object.Older(obj.GetResourceVersion(), w.version) && now.Before(w.at.Add(cachePatience))
}
