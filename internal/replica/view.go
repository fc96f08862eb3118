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

package replica

import (
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
)

// view is what a replica knows of the others. It has no clock: time is the renewals of its own
// Lease that it has seen, in the same watch in which it sees those of the others.
type view struct {
	// identity is whose renewals are the own ones, and lease the name of that Lease, which
	// may still be that of the process before.
	identity, lease string
	// version is that of the own Lease as it was seen last, and now how often it was another.
	version string
	now     int
	peers   map[string]*peer
}

// peer is another replica.
type peer struct {
	lease   string // its name
	version string
	address string
	// seen is when the Lease was last seen to be renewed.
	seen  int
	alive bool
}

// change is a replica that has come, or has died.
type change struct {
	name  string
	alive bool
}

func newView(name, identity string) view {
	return view{identity: identity, lease: leasePrefix + name, peers: map[string]*peer{}}
}

// see takes over a Lease as it is.
func (v *view) see(lease *coordinationv1.Lease) []change {
	if ptr.Deref(lease.Spec.HolderIdentity, "") == v.identity {
		if v.version != lease.ResourceVersion {
			v.version = lease.ResourceVersion
			v.now++
		}
		return v.judge()
	}
	name, ok := strings.CutPrefix(lease.Name, leasePrefix)
	if !ok || lease.Name == v.lease {
		return nil
	}
	p := v.peers[name]
	if p == nil {
		p = &peer{lease: lease.Name}
		v.peers[name] = p
	}
	if p.version == lease.ResourceVersion {
		return nil
	}
	p.version, p.address, p.seen = lease.ResourceVersion, lease.Annotations[addressAnnotation], v.now
	if p.alive {
		return nil
	}
	p.alive = true
	return []change{{name: name, alive: true}}
}

// lose takes over that a Lease is gone: its replica has shut down.
func (v *view) lose(lease *coordinationv1.Lease) []change {
	name, ok := strings.CutPrefix(lease.Name, leasePrefix)
	p := v.peers[name]
	if !ok || p == nil {
		return nil
	}
	delete(v.peers, name)
	if !p.alive {
		return nil
	}
	return []change{{name: name}}
}

// judge finds who has died, in order.
func (v *view) judge() []change {
	var died []change
	for name, p := range v.peers {
		if p.alive && v.now-p.seen > patience {
			p.alive = false
			died = append(died, change{name: name})
		}
	}
	slices.SortFunc(died, func(a, b change) int { return strings.Compare(a.name, b.name) })
	return died
}

// forgotten are the Leases of replicas that have been dead for long, by their names, as they
// were seen last.
func (v *view) forgotten() map[string]string {
	leases := map[string]string{}
	for _, p := range v.peers {
		if v.now-p.seen > remembrance {
			leases[p.lease] = p.version
		}
	}
	return leases
}
