import {join} from 'node:path'
import type {ServerBinaries} from './cluster/binaries.ts'
import {ROLES} from './database/create.ts'
import type {Program} from './node-service.ts'
import {OPTIONS_VARIABLE, rdsServerMain, type RdsServiceOptions} from './rds/main.ts'
import {readRegion, REGION_FILE, type SavedRegion} from './rds/saved-region.ts'
import type {Settings} from './rds/settings.ts'
import type {SandboxState} from './state.ts'

/** The instance that the sample database is in. DATABASE_URL leads to whichever has this name. */
export const INSTANCE = 'dashboarduz'

/** A base backup of a large sample takes its time. */
const DEADLINE_MS = 600_000
const PARAMETERS = {log_min_duration_statement: '500', 'rds.force_ssl': '0'}

const folderOf = (directory: string): string => join(directory, 'rds')
export const instancesDirectory = ({clusterDirectory}: SandboxState): string => join(clusterDirectory, 'instances')

/** What the service keeps of its instances; undefined when there never was one. */
export const regionOf = (directory: string): SavedRegion | undefined => readRegion(join(folderOf(directory), REGION_FILE))

/** Of PostgreSQL, in all its instances; undefined when there are none. */
export function regionMajor(directory: string): number | undefined {
  const {instances = [], retained = []} = regionOf(directory) ?? {}
  const [any] = [...instances, ...retained.map(({instance}) => instance)]
  return any && Number.parseInt(any.settings.EngineVersion, 10)
}

/** The folder of the cluster that is behind DATABASE_URL. */
export const mainCluster = (directory: string, state: SandboxState): string => regionOf(directory)?.instances.find(({id}) => id === INSTANCE)?.directory ?? state.clusterDirectory

/** The sandbox's RDS server. The cluster of the sample becomes its first instance. */
export function rdsProgram(directory: string, state: SandboxState, binaries: ServerBinaries, millisecondsPerSecond?: number): Program {
  const {region, accessKeyId, secretAccessKey} = state.s3
  const options: RdsServiceOptions = {
    directory: instancesDirectory(state), binaries, region, credentials: {accessKeyId, secretAccessKey}, ...(millisecondsPerSecond !== undefined && {millisecondsPerSecond}),
    first: {id: INSTANCE, directory: state.clusterDirectory, settings: settingsFor(binaries), parameters: PARAMETERS},
  }
  return {name: 'rds', main: rdsServerMain, directory: folderOf(directory), logFile: join(directory, 'rds.log'), deadlineMs: DEADLINE_MS, code: 'sandbox.rds', env: {[OPTIONS_VARIABLE]: JSON.stringify(options)}}
}

/** Not what the service gives by itself, as in production: what a restore leaves out is seen to be lost. */
const settingsFor = ({major, version}: ServerBinaries): Partial<Settings> => ({
  EngineVersion: version, MasterUsername: ROLES.owner, DBInstanceClass: 'db.m7g.large', AllocatedStorage: 100, MaxAllocatedStorage: 500, BackupRetentionPeriod: 30, PreferredBackupWindow: '02:00-02:30',
  PreferredMaintenanceWindow: 'sun:03:00-sun:03:30', VpcSecurityGroupIds: ['sg-dashboarduz'], DBParameterGroupName: `dashboarduz-postgres${major}`, OptionGroupName: `default:postgres-${major}`, DBSubnetGroupName: 'dashboarduz-private',
  PubliclyAccessible: false, CopyTagsToSnapshot: true, DeletionProtection: true, EnabledCloudwatchLogsExports: ['postgresql'], TagList: [{Key: 'application', Value: 'dashboarduz'}],
})
