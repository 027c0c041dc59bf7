export const environments = ['production', 'staging', 'development'] as const
export type Environment = (typeof environments)[number]

/** Where partial restores keep rows; never part of a backup, or of what is compared: patterns as in `database.excludeSchemas`, whatever stands there. */
export const ownSchemas = ['dr_stage_*', 'dr_undo_*'] as const

/** A feature of the application, looked at after a partial restore: a row of `sql` is a failure; `url` must answer with `expect` (200). */
export interface FeatureCheck {
  name: string
  /** Only when one of these is concerned, with or without their schema. */
  tables?: string[] | undefined
  sql?: string | undefined
  url?: string | undefined
  expect?: number | undefined
}

/** Every setting of `dr`, resolved. Units stand in the names. */
export interface Config {
  environment: Environment
  /** Only typing the database's name, or `--confirm NAME`, passes a gate; `--yes` does not. */
  protected: boolean
  database: {
    /** Secret: it may hold a password. */
    url?: string
    /** Where to connect while the database itself is created, renamed or dropped. */
    maintenanceDatabase: string
    tenantColumn: string
    excludeSchemas: string[]
    /** Advisory lock of the migration tool; undefined: none is taken. */
    migrationLock?: number
  }
  local: {
    /** Absolute. */
    directory: string
  }
  s3: {
    bucket?: string
    /** Undefined: the one of the AWS profile, else us-east-1. */
    region?: string
    endpoint?: string
    profile?: string
    /** Without slashes at its ends; empty for the whole bucket. */
    prefix: string
    legacyPrefix: string
    forcePathStyle?: boolean
    checksums: 'auto' | 'when-supported' | 'when-required'
  }
  backup: {
    destinations: ('local' | 's3')[]
    jobs?: number
    compress?: string
    digest: boolean
    blockedLimitMs: number
    lockTimeoutMs: number
    attempts: number
    /** A backup that is smaller than the last good one by more than this share is suspect. */
    shrinkLimit: number
    /** Absolute. */
    stagingDirectory?: string
  }
  restore: {jobs?: number}
  partial: {lockTimeoutMs: number}
  checks: {features: FeatureCheck[]}
  investigate: {
    /** Columns that say when a row was written: the last change first. */
    timestampColumns: string[]
    /** Where the application notes who did what; `table` with or without its schema. */
    auditLog: {table: string; time: string; actor: string; action: string; resource: string; resourceId: string}
  }
  rds: {
    /** The instance that holds the database. */
    instance?: string
    /** Undefined: the one of the AWS profile. */
    region?: string
    endpoint?: string
    profile?: string
    pollSeconds: number
    /** Of copies that are only looked into. */
    sideClass?: string
    sideSecurityGroups?: string[]
    /** In front of the database. */
    proxy?: string
    /** Program and arguments, with `{host}`, `{port}` and `{instance}` to be filled in. */
    switchCommand?: string[]
    /** Absolute. */
    caBundle?: string
  }
  tools: {
    /** Absolute: where pg_dump and pg_restore live. */
    directory?: string
  }
  objectives: {rtoSeconds: number; rpoSeconds: number}
  retention: {days: number}
  schedule: {
    /** Five fields, UTC. */
    cron?: string
  }
  application: {
    /** Name of the variable that holds the application's key; never the key. */
    encryptionKeyEnv: string
    release?: string
  }
  /** Absolute: journals, the sandbox, and local backups unless configured otherwise. */
  dataDirectory: string
}
