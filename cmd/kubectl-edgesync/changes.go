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

package main

import "slices"

// changes prints rows of a table, and leaves out those that say what the last row of the
// same name said.
type changes struct {
	table *table
	// moving is the index of a cell that changes with time alone, or -1.
	moving int
	last   map[string][]any
}

func newChanges(t *table, moving int) *changes {
	return &changes{table: t, moving: moving, last: map[string][]any{}}
}

// print writes rows, each of which begins with its name.
func (c *changes) print(rows ...[]any) error {
	var news [][]any
	for _, row := range rows {
		name, said := row[0].(string), slices.Clone(row)
		if c.moving >= 0 {
			said[c.moving] = nil
		}
		if !slices.Equal(c.last[name], said) {
			c.last[name] = said
			news = append(news, row)
		}
	}
	if len(news) == 0 {
		return nil
	}
	return c.table.print(news...)
}
