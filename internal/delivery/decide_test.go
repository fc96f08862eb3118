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
	"strings"
	"testing"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	const large = 100
	content := func(uid, version, payload string) *object.Object {
		return &object.Object{UID: uid, Version: version, Digest: object.DigestOf([]byte(payload)), Payload: []byte(payload)}
	}
	held := func(state State, uid, version, payload string) *Held {
		return &Held{
			Holding: object.Holding{UID: uid, Version: version, Digest: object.DigestOf([]byte(payload))}, State: state,
		}
	}
	with := func(h *Held, change func(*Held)) *Held {
		change(h)
		return h
	}
	retained := func(h *Held) { h.Retain = true }
	foreign := func(h *Held) { h.Foreign = true }
	want := func(o *object.Object, seen string) desired.Want { return desired.Want{Object: o, Seen: seen} }

	for name, test := range map[string]struct {
		e    entry
		want action
	}{
		"nothing held, nothing wanted": {entry{}, nothing},
		"new":                          {entry{want: want(content("u", "5", "a"), "9")}, put},
		"new, and frozen":              {entry{want: desired.Want{Object: content("u", "5", "a"), Frozen: true}}, nothing},
		"too large":                    {entry{want: want(content("u", "5", strings.Repeat("x", large+1)), "9")}, refuse},
		"just not too large":           {entry{want: want(content("u", "5", strings.Repeat("x", large)), "9")}, put},
		"too large, but held": {entry{
			held: held(Applied, "u", "5", strings.Repeat("x", large+1)), want: want(content("u", "6", strings.Repeat("x", large+1)), "9"),
		}, nothing},

		"same content":                   {entry{held: held(Applied, "u", "5", "a"), want: want(content("u", "5", "a"), "9")}, nothing},
		"same content, newer version":    {entry{held: held(Applied, "u", "5", "a"), want: want(content("u", "7", "a"), "9")}, nothing},
		"same content, older version":    {entry{held: held(Applied, "u", "7", "a"), want: want(content("u", "5", "a"), "9")}, nothing},
		"same content, apply failed":     {entry{held: held(ApplyFailed, "u", "5", "a"), want: want(content("u", "5", "a"), "9")}, nothing},
		"same content, of another uid":   {entry{held: held(Applied, "u", "5", "a"), want: want(content("v", "6", "a"), "9")}, put},
		"same content, to be kept later": {entry{held: held(Applied, "u", "5", "a"), want: desired.Want{Object: content("u", "5", "a"), Retain: true, Seen: "9"}}, put},
		"newer content":                  {entry{held: held(Applied, "u", "5", "a"), want: want(content("u", "6", "b"), "9")}, put},
		"other content, same version":    {entry{held: held(Applied, "u", "5", "a"), want: want(content("u", "5", "b"), "9")}, put},
		"refused before":                 {entry{trouble: &trouble{refused: object.Holding{UID: "u"}}, want: want(content("u", "5", "a"), "9")}, nothing},

		"older, and the manager lags":         {entry{held: held(Applied, "u", "7", "b"), want: want(content("u", "5", "a"), "6")}, wait},
		"older, and the manager is there":     {entry{held: held(Applied, "u", "7", "b"), want: want(content("u", "5", "a"), "7")}, force},
		"older, of another uid, lagging":      {entry{held: held(Applied, "v", "7", "b"), want: want(content("u", "5", "a"), "6")}, wait},
		"older, and the API server rewound":   {entry{held: held(Applied, "u", "7", "b"), want: desired.Want{Object: content("u", "5", "a"), Seen: "6", Rewound: true}, trouble: &trouble{awaits: "7"}}, force},
		"older than what came after a rewind": {entry{held: held(Applied, "u", "7", "b"), want: desired.Want{Object: content("u", "5", "a"), Seen: "6", Rewound: true}, trouble: &trouble{awaits: "50"}}, wait},
		"older, and from another cluster":     {entry{held: with(held(Applied, "u", "7", "b"), foreign), want: want(content("u", "5", "a"), "6")}, force},
		"newer, and from another cluster":     {entry{held: with(held(Applied, "u", "7", "b"), foreign), want: want(content("u", "9", "a"), "9")}, force},
		"version that cannot be compared":     {entry{held: held(Applied, "u", "7", "b"), want: want(content("u", "x", "a"), "6")}, put},
		"held version cannot be compared":     {entry{held: held(Applied, "u", "x", "b"), want: want(content("u", "5", "a"), "6")}, put},
		"older, frozen":                       {entry{held: held(Applied, "u", "7", "b"), want: desired.Want{Object: content("u", "5", "a"), Seen: "7", Frozen: true}}, nothing},
		"wanted again while it is removed":    {entry{held: held(Removing, "u", "5", "a"), want: want(content("u", "5", "a"), "9")}, put},
		"older, while it is removed, behind":  {entry{held: held(RemoveFailed, "u", "7", "a"), want: want(content("u", "5", "a"), "6")}, wait},

		"unwanted":                            {entry{held: held(Applied, "u", "5", "a"), want: want(nil, "9")}, remove},
		"unwanted, of a kind nobody uses":     {entry{held: held(Applied, "u", "5", "a"), want: want(nil, "")}, remove},
		"unwanted, and frozen":                {entry{held: held(Applied, "u", "5", "a"), want: desired.Want{Frozen: true, Seen: "9"}}, nothing},
		"unwanted, and the manager lags":      {entry{held: held(Applied, "u", "7", "a"), want: want(nil, "6")}, wait},
		"unwanted, and the API went back":     {entry{held: held(Applied, "u", "7", "a"), want: desired.Want{Seen: "6", Rewound: true}, trouble: &trouble{awaits: "7"}}, remove},
		"unwanted, and from another cluster":  {entry{held: with(held(Applied, "u", "7", "a"), foreign), want: want(nil, "6")}, remove},
		"unwanted, to be kept":                {entry{held: with(held(Applied, "u", "5", "a"), retained), want: want(nil, "9")}, release},
		"unwanted, to be kept, manager lags":  {entry{held: with(held(Applied, "u", "7", "a"), retained), want: want(nil, "6")}, wait},
		"unwanted, being removed":             {entry{held: held(Removing, "u", "5", "a"), want: want(nil, "9")}, nothing},
		"unwanted, failing to be removed":     {entry{held: held(RemoveFailed, "u", "5", "a"), want: want(nil, "9")}, nothing},
		"unwanted, held back":                 {entry{held: held(Applied, "u", "5", "a"), want: want(nil, "9"), removal: heldBack}, nothing},
		"unwanted, held back, approved":       {entry{held: held(Applied, "u", "5", "a"), want: want(nil, "9"), removal: approved}, remove},
		"unwanted, held back, source says ok": {entry{held: held(Applied, "u", "5", "a"), want: desired.Want{Approved: true, Seen: "9"}, removal: heldBack}, remove},
	} {
		if got := test.e.decide(large); got != test.want {
			t.Errorf("%s: action %d, want %d", name, got, test.want)
		}
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	h := func(uid, version string, content byte) object.Holding {
		return object.Holding{UID: uid, Version: version, Digest: object.Digest{content}}
	}
	retained := h("u", "5", 1)
	retained.Retain = true
	for name, test := range map[string]struct {
		held     object.Holding
		holds    bool
		incoming object.Holding
		force    bool
		want     Verdict
	}{
		"nothing held":                     {object.Holding{}, false, h("u", "5", 1), false, Replace},
		"newer":                            {h("u", "5", 1), true, h("u", "6", 2), false, Replace},
		"newer, same content":              {h("u", "5", 1), true, h("u", "6", 1), false, Refresh},
		"again":                            {h("u", "5", 1), true, h("u", "5", 1), false, Refresh},
		"same version, other content":      {h("u", "5", 1), true, h("u", "5", 2), false, Replace},
		"same content, to be retained":     {h("u", "5", 1), true, retained, false, Replace},
		"older":                            {h("u", "5", 1), true, h("u", "4", 2), false, Stale},
		"older, same content":              {h("u", "5", 1), true, h("u", "4", 1), false, Stale},
		"older, of another uid":            {h("u", "5", 1), true, h("v", "4", 2), false, Stale},
		"older, forced":                    {h("u", "5", 1), true, h("u", "4", 2), true, Replace},
		"older, same content, forced":      {h("u", "5", 1), true, h("u", "4", 1), true, Refresh},
		"a version that is not comparable": {h("u", "5", 1), true, h("u", "x", 2), false, Replace},
		"held version is not comparable":   {h("u", "x", 1), true, h("u", "4", 2), false, Replace},
		"a long version":                   {h("u", "99", 1), true, h("u", "100", 2), false, Replace},
	} {
		if got := Admit(test.held, test.holds, test.incoming, test.force); got != test.want {
			t.Errorf("%s: verdict %d, want %d", name, got, test.want)
		}
	}
}
