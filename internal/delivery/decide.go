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

// action is what to do about one key.
type action int

const (
	nothing action = iota
	// put sends the object.
	put
	// force sends the object although the node holds a newer version: the cluster
	// went back, or is another one.
	force
	// remove takes the object away.
	remove
	// release has the node forget the object.
	release
	// wait until the manager knows the kind as far as the node does.
	wait
	// refuse to send what the node would not accept.
	refuse
)

func (a action) sends() bool {
	return a == put || a == force || a == remove || a == release
}

// decide is the whole of the difference between what a node should hold and what it
// holds, for one key.
func (e *entry) decide(maxObjectBytes int) action {
	switch {
	case e.want.Frozen:
		return nothing
	case e.want.Object == nil:
		return e.decideUnwanted()
	default:
		return e.decideWanted(maxObjectBytes)
	}
}

func (e *entry) decideUnwanted() action {
	switch {
	case e.held == nil || e.held.State.removing():
		return nothing
	case e.behind():
		return wait
	case e.held.Retain:
		return release
	case e.removal == heldBack && !e.want.Approved:
		return nothing
	default:
		return remove
	}
}

func (e *entry) decideWanted(maxObjectBytes int) action {
	want := e.want.Holding()
	switch {
	case e.held != nil && e.held.Same(want) && !e.held.State.removing():
		return nothing
	case e.known().refused.UID != "":
		return nothing
	case len(e.want.Object.Payload) > maxObjectBytes:
		return refuse
	case e.held == nil:
		return put
	case e.held.Foreign:
		return force
	case !object.Older(want.Version, e.held.Version):
		return put
	case e.behind():
		return wait
	default:
		return force
	}
}

// wants reports whether h is what the node should hold.
func (e *entry) wants(h object.Holding) bool {
	return e.want.Object != nil && e.want.Holding().Same(h)
}

// behind reports whether the manager's view of the kind is older than what the node
// holds: then what looks like a step back may be the manager's lag.
func (e *entry) behind() bool {
	return !e.held.Foreign && !e.rewound() && e.want.Seen != "" && object.Older(e.want.Seen, e.held.Version)
}

// rewound reports whether the API server is known not to have what the node holds. What
// was found out about an earlier version says nothing about a later one.
func (e *entry) rewound() bool {
	return e.want.Rewound && e.known().awaits == e.held.Version
}
