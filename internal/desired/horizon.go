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

package desired

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/edgesync/edgesync/internal/object"
)

// Feed is one of the watches that say what should be where. The watches of the objects
// themselves are not among them: what is known of a kind is Want.Seen.
type Feed int

// The feeds.
const (
	ObjectSyncs Feed = iota
	ClusterObjectSyncs
	EdgeNodes
	feeds
)

const (
	// horizonFormat begins every horizon, and is another for what cannot be read as this one.
	horizonFormat = "1"
	// lowest stands for nothing: no object has a resource version below it.
	lowest = "1"
	// maxVersion bounds a resource version in a horizon, in bytes.
	maxVersion = 64
	// MaxHorizon bounds a horizon, in bytes.
	MaxHorizon = len(horizonFormat) + int(feeds)*(1+maxVersion)
)

// horizon is how much is known of each feed.
type horizon struct {
	mu sync.Mutex
	// taken is the highest resource version that was taken in, with an object; known is the
	// one up to which nothing is missing.
	taken, known [feeds]string
}

// Advance takes over that an object of a feed has been taken in, at its resource version,
// or at that of its deletion. Call it when the index has it already.
func (x *Index) Advance(feed Feed, version string) {
	x.horizon.mu.Lock()
	defer x.horizon.mu.Unlock()
	raise(&x.horizon.taken[feed], version)
	raise(&x.horizon.known[feed], version)
}

// Reached takes over that everything of a feed up to a resource version has been taken in: that
// of a list or a bookmark, which may be far above that of any object. Other replicas need not
// have come so far to know as much, so it does not make the Horizon another; but without it this
// one counts as behind what others took in before, such as a deletion.
func (x *Index) Reached(feed Feed, version string) {
	x.horizon.mu.Lock()
	defer x.horizon.mu.Unlock()
	raise(&x.horizon.known[feed], version)
}

func raise(version *string, to string) {
	if len(to) <= maxVersion && object.Older(cmp.Or(*version, lowest), to) {
		*version = to
	}
}

// Horizon says, for Behind, how much the index knows of its feeds: the highest resource
// version of each that it has taken in. It is at most MaxHorizon bytes.
func (x *Index) Horizon() []byte {
	x.horizon.mu.Lock()
	defer x.horizon.mu.Unlock()
	return []byte(horizonFormat + "," + strings.Join(x.horizon.taken[:], ","))
}

// Behind reports whether the index that gave the horizon, which may be that of another
// replica, had taken in something that this one has not. What cannot be read or compared
// counts as nothing.
func (x *Index) Behind(of []byte) bool {
	versions, ok := parseHorizon(of)
	if !ok {
		return false
	}
	x.horizon.mu.Lock()
	defer x.horizon.mu.Unlock()
	for i, version := range versions {
		if object.Older(cmp.Or(x.horizon.known[i], lowest), version) {
			return true
		}
	}
	return false
}

// Beyond reports whether the horizon names something above current, the resource version at
// which the API server is: asked for its latest after the horizon was shown, it went back, as
// it does when a backup is restored. What cannot be compared is not above.
func Beyond(current string, horizon []byte) bool {
	versions, ok := parseHorizon(horizon)
	return ok && slices.ContainsFunc(versions[:], func(version string) bool { return object.Older(current, version) })
}

func parseHorizon(encoded []byte) (versions [feeds]string, ok bool) {
	if len(encoded) > MaxHorizon {
		return versions, false
	}
	fields := strings.Split(string(encoded), ",")
	if len(fields) != 1+int(feeds) || fields[0] != horizonFormat {
		return versions, false
	}
	copy(versions[:], fields[1:])
	return versions, !slices.ContainsFunc(fields, func(field string) bool { return len(field) > maxVersion })
}
