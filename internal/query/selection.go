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

package query

import (
	"fmt"
	"net/url"
	"strings"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	"github.com/edgesync/edgesync/internal/object"
)

// selection is which objects of a node are asked for.
type selection struct {
	// object is [group/]Kind/[namespace/]name; empty selects all.
	object string
	// different selects those that the node does not have as it should.
	different bool
}

func parseSelection(parameters url.Values) (selection, error) {
	s := selection{object: parameters.Get(queryv1alpha1.ParameterObject)}
	if n := strings.Count(s.object, "/"); s.object != "" && (n < 1 || n > 3) {
		return selection{}, fmt.Errorf("the parameter %s must be [group/]Kind/[namespace/]name", queryv1alpha1.ParameterObject)
	}
	switch value := parameters.Get(queryv1alpha1.ParameterDifferent); value {
	case "true":
		s.different = true
	case "", "false":
	default:
		return selection{}, fmt.Errorf("the parameter %s must be true or false", queryv1alpha1.ParameterDifferent)
	}
	return s, nil
}

// key: the object may be asked for.
func (s selection) key(key object.Key) bool { return s.object == "" || s.object == key.String() }

// state: an object in this state may be asked for.
func (s selection) state(state queryv1alpha1.State) bool {
	return !s.different || state != queryv1alpha1.StateSynced
}
