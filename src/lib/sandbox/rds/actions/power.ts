import {instanceState} from '../rds-error.ts'
import {inUse, type Action} from './action.ts'
import {takeSnapshot} from './snapshot.ts'

/** In the service's time. */
const SECONDS = {rebooting: 60, stopping: 120, starting: 180}

export const rebootDbInstance: Action = ({region, form, endsAs}) => {
  const instance = inUse(region, form.required('DBInstanceIdentifier'))
  form.assertAllRead()
  instance.timeline.follow([{status: 'rebooting', seconds: SECONDS.rebooting, work: {do: 'restart'}}], {end: endsAs ?? 'available'})
  return {DBInstance: region.shown(instance)}
}

/** Its server ends; the service's own start after seven days is left out. */
export const stopDbInstance: Action = (call) => {
  const {region, form, endsAs} = call
  const instance = inUse(region, form.required('DBInstanceIdentifier'))
  const snapshot = form.text('DBSnapshotIdentifier')
  form.assertAllRead()
  const taken = snapshot === undefined ? undefined : takeSnapshot(call, instance, snapshot)
  if (taken) taken.status = 'available'
  instance.timeline.follow([{status: 'stopping', seconds: SECONDS.stopping, work: {do: 'stop'}}], {end: endsAs ?? 'stopped'})
  return {DBInstance: region.shown(instance)}
}

export const startDbInstance: Action = ({region, form, endsAs}) => {
  const instance = region.find(form.required('DBInstanceIdentifier'))
  form.assertAllRead()
  if (instance.status !== 'stopped') throw instanceState(instance.id, instance.status)
  instance.timeline.follow([{status: 'starting', seconds: SECONDS.starting, work: {do: 'start'}}], {end: endsAs ?? 'available'})
  return {DBInstance: region.shown(instance)}
}
