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
	"encoding/binary"
	"slices"
	"strconv"
	"sync"
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
	horizonFormat = 2
	// MaxHorizon bounds a horizon, in bytes.
	MaxHorizon = 1 + int(feeds)*binary.MaxVarintLen64
)

// horizon is how much is known of each feed.
type horizon struct {
	mu sync.Mutex
	// taken is the highest resource version that was taken in, with an object; known is the
	// one up to which nothing is missing.
	taken, known [feeds]uint64
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

func raise(version *uint64, to string) {
	if n, ok := number(to); ok {
		*version = max(*version, n)
	}
}

// number is a resource version as a number; false if it is none that can be compared
// (KEP-5504), or one of more than 64 bits, which etcd does not have.
func number(version string) (uint64, bool) {
	n, err := strconv.ParseUint(version, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == version
}

// Horizon says, for Behind, how much the index knows of its feeds: the highest resource
// version of each that it has taken in. It is at most MaxHorizon bytes, and travels with
// many small messages.
func (x *Index) Horizon() []byte {
	x.horizon.mu.Lock()
	defer x.horizon.mu.Unlock()
	encoded := append(make([]byte, 0, MaxHorizon), horizonFormat)
	for _, version := range x.horizon.taken {
		encoded = binary.AppendUvarint(encoded, version)
	}
	return encoded
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
		if x.horizon.known[i] < version {
			return true
		}
	}
	return false
}

// Beyond reports whether the horizon names something above current, the resource version at
// which the API server is: asked for its latest after the horizon was shown, it went back, as
// it does when a backup is restored. What cannot be compared is not above.
func Beyond(current string, horizon []byte) bool {
	at, numeric := number(current)
	versions, ok := parseHorizon(horizon)
	return ok && numeric && slices.Max(versions[:]) > at
}

func parseHorizon(encoded []byte) (versions [feeds]uint64, ok bool) {
	if len(encoded) == 0 || encoded[0] != horizonFormat {
		return versions, false
	}
	encoded = encoded[1:]
	for i := range versions {
		version, n := binary.Uvarint(encoded)
		if n <= 0 {
			return versions, false
		}
		versions[i], encoded = version, encoded[n:]
	}
	return versions, len(encoded) == 0
}
