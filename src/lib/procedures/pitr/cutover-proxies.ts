import type {Finding} from '../../checks/finding.ts'
import {DrError, preflightError} from '../../errors.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import type {CutoverOptions} from './cutover-options.ts'

type Asking = Pick<CutoverOptions, 'api' | 'config'>

/** `unknown`: why it is not known of some. */
interface Leading {
  proxies: string[]
  unknown?: string
}

/**
 * Proxies that stay with the old instance, so that what their clients write is written there. Throws `pitr.proxy` (exit 3) by
 * rename where rds.proxy is one of them: a rename does not lead it over.
 */
export async function aboutProxies(options: CutoverOptions, copy: string, {signal}: StepIo): Promise<Finding[]> {
  const {config: {rds: {proxy: ours}}, name, mode} = options
  const {proxies, unknown} = await proxiesOf(options, name, signal)
  if (mode === 'rename' && ours !== undefined && proxies.includes(ours)) {
    throw preflightError('pitr.proxy', `The proxy ${ours} leads to ${name}, and a rename does not lead it to ${copy}: its clients would write to the old instance.`, {
      hints: [`dr pitr cutover ${copy} --mode proxy leads it over; DATABASE_URL and all clients have to come by the proxy then.`, `If nobody uses it: ${takenOut(ours, name)}`],
    })
  }
  return [
    ...proxies.filter((proxy) => mode !== 'proxy' || proxy !== ours).map((proxy): Finding => ({code: 'pitr.proxy', severity: 'warning', subject: name, message: `the proxy ${proxy} leads to it and stays with it: its clients do not come to the copy`, hint: `dr pitr cutover ${copy} --mode proxy, with rds.proxy ${proxy}; if nobody uses it: ${takenOut(proxy, name)}`})),
    ...(unknown === undefined ? [] : [{code: 'pitr.proxy', severity: 'warning', subject: name, message: `whether a proxy leads to it is not known: ${unknown}`} satisfies Finding]),
  ]
}

const takenOut = (proxy: string, id: string): string => `aws rds deregister-db-proxy-targets --db-proxy-name ${proxy} --db-instance-identifiers ${id}`

/** The proxies that lead to an instance, rds.proxy first. That some cannot be asked is no hindrance. */
export async function proxiesOf({api, config}: Asking, instance: string, signal: AbortSignal): Promise<Leading> {
  const troubles: string[] = []
  const asked = async <T>(work: () => Promise<T[]>): Promise<T[]> => work().catch((error: unknown) => {
    signal.throwIfAborted()
    if (!(error instanceof DrError) || !BEARABLE.includes(error.code)) throw error
    if (error.code !== 'rds.no-proxy') troubles.push(error.message.replace(/\.$/, ''))
    return []
  })
  const names = new Set([config.rds.proxy ?? [], await asked(() => api.proxies(signal))].flat())
  const proxies: string[] = []
  for (const name of names) if ((await asked(() => api.proxyTargets(name, signal))).some(({RdsResourceId}) => RdsResourceId === instance)) proxies.push(name)
  return {proxies, ...(troubles[0] !== undefined && {unknown: troubles[0]})}
}

/** Of a proxy, or of a role that may not look at proxies; what is wrong with the connection to AWS is a failure. */
const BEARABLE: readonly string[] = ['rds.denied', 'rds.no-proxy', 'rds.refused', 'rds.state']
