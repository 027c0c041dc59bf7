import type {Form} from '../form.ts'
import type {Instance} from '../instance.ts'
import {invalidCombination, RdsError} from '../rds-error.ts'
import type {Region} from '../region.ts'
import {modifiedSettings, waitingOf, type Settings} from '../settings.ts'
import {inUse, type Action} from './action.ts'
import {newName} from './restore.ts'

/** In the service's time. It is a moment until a change shows in the status. */
const SECONDS = {unchanged: 5, modifying: 120, password: 60, renaming: 300, rebooting: 60}

interface Asked {
  settings: Partial<Settings>
  name: string | undefined
  password: string | undefined
}

/**
 * Renames it, or changes settings, or both. What is not wanted at once stays pending: this service has no maintenance window; the
 * next change that is wanted at once makes the pending ones too. A password is set at once, always.
 */
export const modifyDbInstance: Action = async ({region, form, endsAs}) => {
  const unprotected = unprotectedOf(region, form)
  if (unprotected) return {DBInstance: region.shown(unprotected)}
  const instance = inUse(region, form.required('DBInstanceIdentifier'))
  const asked = readAsked(region, form, instance)
  const atOnce = form.boolean('ApplyImmediately') ?? false
  form.boolean('AllowMajorVersionUpgrade')
  form.assertAllRead()
  if (asked.password !== undefined) await instance.setMasterPassword(asked.password)
  const {settings, name} = atOnce ? withPending(instance, asked) : withoutWaiting(instance, asked)
  const hasSettings = Object.keys(settings).length > 0
  instance.pending = {settings: {...instance.pending.settings, ...settings}, ...(asked.name !== undefined && {id: asked.name}), ...(asked.password !== undefined && {password: true})}
  if (!hasSettings && name === undefined && asked.password === undefined) return {DBInstance: region.shown(instance)}
  instance.timeline.follow([
    {status: 'available', seconds: SECONDS.unchanged},
    ...(asked.password === undefined ? [] : [{status: 'resetting-master-credentials', seconds: SECONDS.password, work: {do: 'password is set'} as const}]),
    ...(hasSettings ? [{status: 'modifying', seconds: SECONDS.modifying, work: {do: 'apply', changes: settings} as const}] : []),
    ...(name === undefined ? [] : [{status: 'renaming', seconds: SECONDS.renaming, work: {do: 'rename', to: name} as const}, {status: 'rebooting', seconds: SECONDS.rebooting}]),
  ], {end: endsAs ?? 'available'})
  return {DBInstance: region.shown(instance)}
}

/** Its protection alone can be taken from an instance that is lost: no server is needed for it. */
function unprotectedOf(region: Region, form: Form): Instance | undefined {
  const instance = region.find(form.required('DBInstanceIdentifier'))
  if (!['failed', 'incompatible-restore', 'incompatible-network'].includes(instance.status) || form.boolean('DeletionProtection') !== false) return undefined
  form.boolean('ApplyImmediately')
  form.assertAllRead()
  instance.settings = {...instance.settings, DeletionProtection: false}
  return instance
}

function readAsked(region: Region, form: Form, instance: Instance): Asked {
  const [to, password] = [form.text('NewDBInstanceIdentifier'), form.text('MasterUserPassword')]
  const settings = {...modifiedSettings(form, instance.settings), ...secretOf(region, form, password)}
  const name = to === undefined ? undefined : newName(to)
  if (name !== undefined && name !== instance.id && region.instances.has(name)) throw new RdsError('DBInstanceAlreadyExists', 'DB instance already exists')
  const {DBParameterGroupName: group} = settings
  if (group !== undefined && !region.parameterGroups.has(group)) throw new RdsError('DBParameterGroupNotFound', `DBParameterGroup not found: ${group}`, 404)
  if (settings.EngineVersion !== undefined && Number.parseInt(settings.EngineVersion) !== Number.parseInt(instance.settings.EngineVersion)) throw new RdsError('NotImplemented', 'The sandbox does not upgrade to another major.', 501)
  if (password !== undefined && instance.settings.MasterUserSecret && !('MasterUserSecret' in settings)) throw invalidCombination('MasterUserPassword cannot be given while the master password is managed.')
  if (password !== undefined && password.length < 8) throw new RdsError('InvalidParameterValue', 'The parameter MasterUserPassword is not a valid password because it is shorter than 8 characters.')
  return {settings, name, password}
}

/** The service keeps the password as a secret from now on, or no longer. */
function secretOf(region: Region, form: Form, password: string | undefined): Partial<Settings> {
  const [manage, key] = [form.boolean('ManageMasterUserPassword'), form.text('MasterUserSecretKmsKeyId')]
  if (manage === true && password !== undefined) throw invalidCombination('You can\'t specify MasterUserPassword when ManageMasterUserPassword is true.')
  if (manage === false && password === undefined) throw invalidCombination('You must specify MasterUserPassword when ManageMasterUserPassword is false.')
  if (manage === undefined) return {}
  const id = `rds!db-${crypto.randomUUID()}-${crypto.randomUUID().slice(0, 6)}`
  return {MasterUserSecret: manage ? {SecretArn: `arn:aws:secretsmanager:${region.name}:${region.account}:secret:${id}`, SecretStatus: 'active', KmsKeyId: key ?? `arn:aws:kms:${region.name}:${region.account}:key/aws-secretsmanager`} : undefined}
}

/** ApplyImmediately makes everything that was pending. */
const withPending = ({pending}: Instance, {settings, name, password}: Asked): Asked => ({settings: {...pending.settings, ...settings}, name: name ?? pending.id, password})

/** What has to wait stays pending; the rest is made now. */
function withoutWaiting(instance: Instance, {settings, password}: Asked): Asked {
  const waiting = waitingOf(settings)
  instance.pending = {...instance.pending, settings: {...instance.pending.settings, ...waiting}}
  return {settings: Object.fromEntries(Object.entries(settings).filter(([key]) => !(key in waiting))), name: undefined, password}
}
