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

package object

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var apiVersion = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)

// ParseKey reads what String and Ref write: [group/]Kind/[namespace/]name, where a version may
// stand before the kind. Kinds begin with a capital letter, and groups do not. ok is false
// for all else, and for Kind/name, of which it cannot be told whether a namespace is missing.
func ParseKey(text string) (key Key, ok bool) {
	parts := strings.Split(text, "/")
	at := slices.IndexFunc(parts, func(part string) bool {
		first, _ := utf8.DecodeRuneInString(part)
		return unicode.IsUpper(first)
	})
	if at < 0 || slices.Contains(parts, "") {
		return Key{}, false
	}
	group, name := parts[:at], parts[at+1:]
	if len(group) > 0 && apiVersion.MatchString(group[len(group)-1]) {
		group = group[:len(group)-1]
	}
	if len(group) > 0 && apiVersion.MatchString(group[0]) {
		return Key{}, false // no group is called that
	}
	if len(group) > 1 || len(name) == 0 || len(name) > 2 || at == 0 && len(name) == 1 {
		return Key{}, false
	}
	key = Key{Group: strings.Join(group, ""), Kind: parts[at], Name: name[len(name)-1]}
	if len(name) == 2 {
		key.Namespace = name[0]
	}
	return key, true
}
