import type {Form} from '../form.ts'
import {RdsError} from '../rds-error.ts'
import {otherRoles, setRoles} from '../work.ts'
import {inUse, type Action} from './action.ts'

/** In the service's time; the instance is available meanwhile. */
const ATTACHING_SECONDS = 60

const roleOf = (form: Form) => ({RoleArn: form.required('RoleArn'), FeatureName: form.required('FeatureName')})

export const addRoleToDbInstance: Action = ({region, form}) => {
  const instance = inUse(region, form.required('DBInstanceIdentifier'))
  const role = roleOf(form)
  form.assertAllRead()
  const others = otherRoles(instance, role)
  if (others.length < instance.settings.AssociatedRoles.length) throw new RdsError('DBInstanceRoleAlreadyExists', `The role ${role.RoleArn} is already associated with ${instance.id} for ${role.FeatureName}.`)
  setRoles(instance, [...others, {...role, Status: 'PENDING'}])
  instance.timeline.follow([{status: instance.status, seconds: ATTACHING_SECONDS}, {status: instance.status, seconds: 0, work: {do: 'attach role', role}}])
  return undefined
}

export const removeRoleFromDbInstance: Action = ({region, form}) => {
  const instance = inUse(region, form.required('DBInstanceIdentifier'))
  const role = roleOf(form)
  form.assertAllRead()
  if (otherRoles(instance, role).length === instance.settings.AssociatedRoles.length) throw new RdsError('DBInstanceRoleNotFound', `The role ${role.RoleArn} is not associated with ${instance.id} for ${role.FeatureName}.`, 404)
  instance.timeline.follow([{status: instance.status, seconds: ATTACHING_SECONDS, work: {do: 'detach role', role}}])
  return undefined
}
