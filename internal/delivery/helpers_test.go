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

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

var (
	start    = time.Unix(1_000_000_000, 0)
	defaults = Config{
		WindowMessages: 100, WindowBytes: 1 << 20, MaxObjectBytes: 1 << 20, RetryBase: time.Second, RetryMax: 10 * time.Second,
	}
)

const all = 1 << 20

func named(name string) object.Key {
	return object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name}
}

func numbered(i int) object.Key { return named(fmt.Sprintf("x%03d", i)) }

// version makes an object; its content is its version, so many bytes long.
func version(key object.Key, version string, size int) *object.Object {
	payload := []byte(strings.Repeat(version, size)[:max(size, len(version))])
	return &object.Object{
		Key: key, APIVersion: "v1", UID: "uid-" + key.Name, Version: version, Digest: object.DigestOf(payload), Payload: payload,
	}
}

func wanted(o *object.Object) Change {
	return Change{Key: o.Key, Want: desired.Want{Object: o, Seen: "1000"}}
}

func unwanted(key object.Key) Change { return Change{Key: key, Want: desired.Want{Seen: "1000"}} }

func unwantedInBulk(keys ...object.Key) []Change {
	var changes []Change
	for _, key := range keys {
		changes = append(changes, Change{Key: key, Want: desired.Want{Seen: "1000"}, Bulk: true})
	}
	return changes
}

func holding(o *object.Object) Held {
	return Held{Holding: desired.Want{Object: o}.Holding(), State: Applied}
}

// inventoryOf is that of a node that has applied some objects.
func inventoryOf(objects ...*object.Object) map[object.Key]Held {
	inventory := map[object.Key]Held{}
	for _, o := range objects {
		inventory[o.Key] = holding(o)
	}
	return inventory
}

// fullNode holds n objects at version 5, all of them wanted.
func fullNode(n int) (*Node, []object.Key) {
	var objects []*object.Object
	var changes []Change
	var keys []object.Key
	for i := range n {
		o := version(numbered(i), "5", 1)
		objects, changes, keys = append(objects, o), append(changes, wanted(o)), append(keys, o.Key)
	}
	node := New(defaults, inventoryOf(objects...))
	node.Desire(start, changes)
	return node, keys
}

// next is what comes now, in words. A bookmark counts if it comes by itself.
func next(n *Node, now time.Time) []string {
	return withoutBookmark(words(n.Next(now, all, all)))
}

// withoutBookmark leaves out a bookmark that goes with something else.
func withoutBookmark(said []string) []string {
	if last := len(said) - 1; last > 0 && said[last] == "bookmark" {
		return said[:last]
	}
	return said
}

func words(messages []Message) []string {
	said := []string{}
	for _, message := range messages {
		switch m := message.(type) {
		case Put:
			word := fmt.Sprintf("%d put %s %s", m.Sequence, m.Object.Name, m.Object.Version)
			if m.Force {
				word += " force"
			}
			said = append(said, word)
		case Delete:
			word := fmt.Sprintf("%d delete %s %s", m.Sequence, m.Key.Name, m.UID)
			if m.Release {
				word = fmt.Sprintf("%d release %s %s", m.Sequence, m.Key.Name, m.UID)
			}
			said = append(said, word)
		default:
			said = append(said, "bookmark")
		}
	}
	return said
}

func mustAck(t *testing.T, n *Node, now time.Time, cumulative uint64) {
	t.Helper()
	if _, err := n.Ack(now, cumulative); err != nil {
		t.Fatal(err)
	}
}

func mustNack(t *testing.T, n *Node, now time.Time, nack Nack) {
	t.Helper()
	if _, err := n.Nack(now, nack); err != nil {
		t.Fatal(err)
	}
}

func expectProgress(g Gomega, n *Node, key object.Key, want Progress) *Failure {
	progress, failure := n.Progress(key)
	g.ExpectWithOffset(1, progress).To(Equal(want))
	return failure
}
