import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {runAsService} from '../service-main.ts'
import {REGION_FILE} from './saved-region.ts'
import {startRdsServer, type RdsServer, type RdsServerOptions} from './server.ts'
import type {Settings} from './settings.ts'

/** This file, to be started by `node` as a process of its own. */
export const rdsServerMain = fileURLToPath(import.meta.url)

/** The variable that holds the options as JSON: `ps` does not show it. */
export const OPTIONS_VARIABLE = 'DR_SANDBOX_RDS_OPTIONS'

export interface RdsServiceOptions extends Omit<RdsServerOptions, 'file' | 'port'> {
  /** Made of the cluster in its folder when the region is new. */
  first: {id: string; directory: string; settings: Partial<Settings>; parameters: Readonly<Record<string, string>>}
}

/** Everything goes on as a former process left it. */
export async function startRdsService([directory, port = '0']: readonly string[], environment: NodeJS.ProcessEnv): Promise<RdsServer> {
  const text = environment[OPTIONS_VARIABLE]
  if (directory === undefined || !/^\d+$/.test(port)) throw new Error('Usage: main <directory> [port]')
  if (text === undefined) throw new Error(`${OPTIONS_VARIABLE} must be set.`)
  const {first, ...options} = JSON.parse(text) as RdsServiceOptions
  const server = await startRdsServer({...options, file: join(directory, REGION_FILE), port: Number(port)})
  const {region} = server
  if (region.isKept) return server
  const {DBParameterGroupName, DBSubnetGroupName} = first.settings
  if (DBParameterGroupName !== undefined) region.parameterGroups.set(DBParameterGroupName, first.parameters)
  if (DBSubnetGroupName !== undefined) region.subnetGroups.add(DBSubnetGroupName)
  const proxy = await region.createProxy(first.id)
  await region.aim(proxy, await region.create(first.id, first.settings, first.directory))
  region.save()
  return server
}

runAsService(rdsServerMain, () => startRdsService(process.argv.slice(2), process.env), (server) => server.leave())
