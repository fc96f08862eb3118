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
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// watchPause is how long it takes at least from one watch to the next.
const watchPause = time.Second

// observer is told of objects that are there or have changed, or of those that are gone.
// What has been listed comes together. done ends the watch.
type observer func(objs []client.Object, gone bool) (done bool, err error)

// follow tells of the objects of a list, and of all that becomes of them, until ctx ends,
// which is no error, or the observer is done.
func follow(ctx context.Context, c client.WithWatch, list client.ObjectList, observe observer, opts ...client.ListOption) error {
	known := map[types.UID]client.Object{}
	for {
		if err := c.List(ctx, list, opts...); err != nil {
			return ignoreEnd(ctx, err)
		}
		if done, err := tellList(list, known, observe); done || err != nil {
			return err
		}
		done, err := followFrom(ctx, c, list, known, observe, opts)
		if done || err != nil {
			return ignoreEnd(ctx, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPause):
		}
	}
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// tellList tells of what is in the list, and of what is known and no longer in it.
func tellList(list client.ObjectList, known map[types.UID]client.Object, observe observer) (done bool, err error) {
	items, err := apimeta.ExtractList(list)
	if err != nil {
		return false, err
	}
	var listed, gone []client.Object
	isListed := map[types.UID]bool{}
	for _, item := range items {
		obj := item.(client.Object)
		listed = append(listed, obj)
		isListed[obj.GetUID()], known[obj.GetUID()] = true, obj
	}
	for uid, obj := range known {
		if !isListed[uid] {
			delete(known, uid)
			gone = append(gone, obj)
		}
	}
	if done, err := observe(listed, false); done || err != nil {
		return done, err
	}
	return observe(gone, true)
}

// followFrom watches from where the list was until the watch ends.
func followFrom(ctx context.Context, c client.WithWatch, list client.ObjectList, known map[types.UID]client.Object,
	observe observer, opts []client.ListOption) (done bool, err error) {
	from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}}
	events, err := c.Watch(ctx, list, append([]client.ListOption{from}, opts...)...)
	if err != nil {
		return false, err
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		if event.Type == watch.Error {
			if err := apierrors.FromObject(event.Object); !apierrors.IsGone(err) && !apierrors.IsResourceExpired(err) {
				return false, err
			}
			return false, nil
		}
		obj, ok := event.Object.(client.Object)
		if !ok {
			continue
		}
		gone := event.Type == watch.Deleted
		if known[obj.GetUID()] = obj; gone {
			delete(known, obj.GetUID())
		}
		if done, err := observe([]client.Object{obj}, gone); done || err != nil {
			return done, err
		}
	}
	return false, nil
}
