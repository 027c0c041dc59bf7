import type {Value} from '../document.ts'
import type {Form} from '../form.ts'
import type {Instance} from '../instance.ts'
import {invalidCombination, RdsError} from '../rds-error.ts'
import type {Region} from '../region.ts'
import type {Proxy} from '../saved-region.ts'
import {inUse, type Action} from './action.ts'
import {paged} from './describe.ts'

/** In the service's time. */
const REGISTERING_SECONDS = 60

export const describeDbProxies: Action = ({region, form}) => {
  const name = form.text('DBProxyName')
  const found = name === undefined ? [...region.proxies.values()] : [find(region, name)]
  return paged(form, 'DBProxies', found.map((proxy) => ({
    DBProxyName: proxy.name, DBProxyArn: `arn:aws:rds:${region.name}:${region.account}:db-proxy:prx-${proxy.name}`, Status: 'available', EngineFamily: 'POSTGRESQL', Endpoint: `127.0.0.1:${region.proxyPort(proxy)}`, RequireTLS: false,
  })))
}

export const describeDbProxyTargets: Action = ({region, form}) => {
  const proxy = proxyOf(region, form)
  const target = shownTarget(region, proxy)
  return paged(form, 'Targets', target ? [target] : [])
}

/** A proxy has one target; another one has to go first. */
export const registerDbProxyTargets: Action = async ({region, form}) => {
  const proxy = proxyOf(region, form)
  const instance = inUse(region, onlyTarget(form))
  form.assertAllRead()
  if (proxy.target) throw new RdsError('DBProxyTargetAlreadyRegisteredFault', `The proxy ${proxy.name} is already associated with ${targetOf(region, proxy)?.id ?? 'an instance that is gone'}.`)
  await region.aim(proxy, instance)
  return {DBProxyTargets: [shownTarget(region, proxy)]}
}

export const deregisterDbProxyTargets: Action = async ({region, form}) => {
  const proxy = proxyOf(region, form)
  const id = onlyTarget(form)
  form.assertAllRead()
  if (!proxy.target || (targetOf(region, proxy)?.id ?? id) !== id) throw new RdsError('DBProxyTargetNotFoundFault', `The proxy ${proxy.name} is not associated with ${id}.`, 404)
  await region.aim(proxy, undefined)
  return {}
}

function proxyOf(region: Region, form: Form): Proxy {
  const group = form.text('TargetGroupName')
  if (group !== undefined && group !== 'default') throw new RdsError('DBProxyTargetGroupNotFoundFault', `There is no target group ${group}.`, 404)
  return find(region, form.required('DBProxyName'))
}

function find(region: Region, name: string): Proxy {
  const found = region.proxies.get(name)
  if (!found) throw new RdsError('DBProxyNotFoundFault', `The proxy ${name} does not exist.`, 404)
  return found
}

function onlyTarget(form: Form): string {
  const [id, ...more] = form.texts('DBInstanceIdentifiers', 'member') ?? []
  if (id === undefined || more.length > 0) throw invalidCombination('Exactly one DB instance must be given.')
  return id
}

const targetOf = (region: Region, {target}: Proxy): Instance | undefined => [...region.instances.values()].find(({resourceId}) => resourceId === target?.resourceId)

function shownTarget(region: Region, proxy: Proxy): Record<string, Value> | undefined {
  if (!proxy.target) return undefined
  const instance = targetOf(region, proxy)
  const State = !instance?.cluster ? 'UNAVAILABLE' : Date.now() - proxy.target.since < REGISTERING_SECONDS * region.millisecondsPerSecond ? 'REGISTERING' : 'AVAILABLE'
  return {
    Type: 'RDS_INSTANCE', Role: 'READ_WRITE', RdsResourceId: instance?.id ?? proxy.target.resourceId, Endpoint: '127.0.0.1', Port: instance?.port, ...(instance && {TargetArn: region.arnOf(instance.id)}),
    TargetHealth: {State, ...(State === 'UNAVAILABLE' && {Reason: 'CONNECTION_FAILED'})},
  }
}
