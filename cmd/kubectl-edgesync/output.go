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

import (
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

const none = "<none>"

// output is the flag -o: empty or wide for people, otherwise what kubectl prints objects as.
type output struct {
	*genericclioptions.PrintFlags
	wideAllowed bool
}

func newOutput(cmd *cobra.Command, wideAllowed bool) *output {
	o := &output{PrintFlags: genericclioptions.NewPrintFlags("").WithTypeSetter(scheme), wideAllowed: wideAllowed}
	o.AddFlags(cmd)
	if wideAllowed {
		flag := cmd.Flags().Lookup("output")
		flag.Usage = strings.Replace(flag.Usage, "One of: (", "One of: (wide, ", 1)
	}
	return o
}

// forPeople reports whether the output is to be text, and whether all columns are wanted.
func (o *output) forPeople() (yes, wide bool) {
	wide = o.wideAllowed && *o.OutputFormat == "wide"
	return *o.OutputFormat == "" || wide, wide
}

// print writes API objects in the format of the flag.
func (o *output) print(out io.Writer, obj runtime.Object) error {
	printer, err := o.ToPrinter()
	if err != nil {
		return err
	}
	if apimeta.IsListType(obj) {
		if err := apimeta.EachListItem(obj, setKind); err != nil {
			return err
		}
		if *o.OutputFormat == "name" {
			return apimeta.EachListItem(obj, func(item runtime.Object) error { return printer.PrintObj(item, out) })
		}
	}
	if err := setKind(obj); err != nil {
		return err
	}
	return printer.PrintObj(obj, out)
}

// setKind says what obj is, which the client leaves out.
func setKind(obj runtime.Object) error {
	gvk, err := apiutil.GVKForObject(obj, scheme)
	if err == nil {
		obj.GetObjectKind().SetGroupVersionKind(gvk)
	}
	return err
}

// table prints rows as kubectl does. Rows that come later keep the widths of the first.
type table struct {
	columns []metav1.TableColumnDefinition
	wide    bool
	writer  flushWriter
	started bool
}

type flushWriter interface {
	io.Writer
	Flush() error
}

// newTable has a column for each name; those from the first that begins with a plus are wide.
func newTable(out io.Writer, wide bool, names ...string) *table {
	t := &table{wide: wide, writer: printers.GetNewTabWriter(out)}
	var priority int32
	for _, name := range names {
		if strings.HasPrefix(name, "+") {
			priority = 1
		}
		t.columns = append(t.columns, metav1.TableColumnDefinition{
			Name: strings.TrimPrefix(name, "+"), Type: "string", Priority: priority,
		})
	}
	return t
}

// print writes rows, and the header before the first ones.
func (t *table) print(rows ...[]any) error {
	content := &metav1.Table{ColumnDefinitions: t.columns}
	for _, cells := range rows {
		content.Rows = append(content.Rows, metav1.TableRow{Cells: cells})
	}
	printer := printers.NewTablePrinter(printers.PrintOptions{NoHeaders: t.started, Wide: t.wide})
	t.started = true
	if err := printer.PrintObj(content, t.writer); err != nil {
		return err
	}
	return t.writer.Flush()
}

// age is how long ago something was, as kubectl writes it.
func age(now, then time.Time) string {
	if then.IsZero() {
		return none
	}
	return duration.HumanDuration(max(0, now.Sub(then)))
}

// orNone is text, or <none> for nothing.
func orNone(text string) string {
	if text == "" {
		return none
	}
	return text
}
