import {ownSchemas, type Config, type Environment} from './config.ts'
import {durationMs} from './duration.ts'
import type {SettingPath, SettingValue} from './schema.ts'

/** Checked values by path. */
export type Resolved = {[P in SettingPath]?: SettingValue<P>} & {environment: Environment; dataDirectory: string}

type Present<T> = {[K in keyof T]?: Exclude<T[K], null | undefined>}

/** Leaves out what is not set, so that an optional property is absent instead of undefined. */
const present = <T extends object>(values: T) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== null)) as Present<T>

type Need = <P extends keyof Resolved>(path: P) => NonNullable<Resolved[P]>

/** The same values in the shape and the units that the code uses. */
export function resolveConfig(values: Resolved): Config {
  const need: Need = (path) => {
    const value = values[path]
    if (value == null) throw new Error(`The setting ${path} has no value and no default.`)
    return value
  }
  return {
    environment: values.environment,
    protected: need('protected'),
    database: databaseOf(values, need),
    local: {directory: need('local.directory')},
    s3: s3Of(values, need),
    backup: backupOf(values, need),
    partial: {lockTimeoutMs: durationMs(need('partial.lockTimeout'))},
    checks: {features: values['checks.features'] ?? []},
    restore: present({jobs: values['restore.jobs']}),
    investigate: investigateOf(need),
    rds: {pollSeconds: need('rds.pollSeconds'), ...present({instance: values['rds.instance'], region: values['rds.region'], endpoint: values['rds.endpoint'], profile: values['rds.profile'], sideClass: values['rds.sideClass'], sideSecurityGroups: values['rds.sideSecurityGroups'], proxy: values['rds.proxy'], switchCommand: values['rds.switchCommand'], caBundle: values['rds.caBundle']})},
    tools: present({directory: values['tools.directory']}),
    objectives: {rtoSeconds: durationMs(need('objectives.rto')) / 1000, rpoSeconds: durationMs(need('objectives.rpo')) / 1000},
    retention: {days: need('retention.days')},
    schedule: present({cron: values['schedule.cron']}),
    application: {encryptionKeyEnv: need('application.encryptionKeyEnv'), ...present({release: values['application.release']})},
    dataDirectory: values.dataDirectory,
  }
}

function databaseOf(values: Resolved, need: Need): Config['database'] {
  return {
    maintenanceDatabase: need('database.maintenanceDatabase'),
    tenantColumn: need('database.tenantColumn'),
    excludeSchemas: [...new Set([...ownSchemas, ...need('database.excludeSchemas')])],
    ...present({url: values['database.url'], migrationLock: values['database.migrationLock']}),
  }
}

function s3Of(values: Resolved, need: Need): Config['s3'] {
  return {
    prefix: need('s3.prefix').replaceAll(/^\/+|\/+$/g, ''),
    legacyPrefix: need('s3.legacyPrefix'),
    checksums: need('s3.checksums'),
    ...present({bucket: values['s3.bucket'], region: values['s3.region'], endpoint: values['s3.endpoint'], profile: values['s3.profile'], forcePathStyle: values['s3.forcePathStyle']}),
  }
}

function backupOf(values: Resolved, need: Need): Config['backup'] {
  return {
    destinations: [...new Set(need('backup.destinations'))],
    digest: need('backup.digest'),
    blockedLimitMs: durationMs(need('backup.blockedLimit')),
    lockTimeoutMs: durationMs(need('backup.lockTimeout')),
    attempts: need('backup.attempts'),
    shrinkLimit: need('backup.shrinkLimit'),
    ...present({jobs: values['backup.jobs'], compress: values['backup.compress'], stagingDirectory: values['backup.stagingDirectory']}),
  }
}

function investigateOf(need: Need): Config['investigate'] {
  return {
    timestampColumns: need('investigate.timestampColumns'),
    auditLog: {
      table: need('investigate.auditTable'), time: need('investigate.auditTime'), actor: need('investigate.auditActor'),
      action: need('investigate.auditAction'), resource: need('investigate.auditResource'), resourceId: need('investigate.auditResourceId'),
    },
  }
}
