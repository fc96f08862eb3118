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

package delivery

import "github.com/edgesync/edgesync/internal/object"

// Verdict is what an agent does with a Put.
type Verdict int

const (
	// Replace stores the object in the place of what is held.
	Replace Verdict = iota
	// Refresh keeps the content, which is the same, and takes over the version.
	Refresh
	// Stale refuses the object: what is held is newer.
	Stale
)

// Admit decides what an agent that holds held (if holds) does with an incoming
// object. Without force a newer version is never replaced by an older one.
func Admit(held object.Holding, holds bool, incoming object.Holding, force bool) Verdict {
	switch {
	case !holds:
		return Replace
	case !force && object.Older(incoming.Version, held.Version):
		return Stale
	case incoming.Same(held):
		return Refresh
	default:
		return Replace
	}
}
