import {z} from 'zod'
import {environments, ownSchemas} from './config.ts'
import {durationPattern} from './duration.ts'

type Kind = 'text' | 'path' | 'number' | 'boolean' | 'list'

/** One setting as an operator writes it, in the file, in a variable or behind a flag. */
export interface Setting {
  schema: z.ZodType
  kind: Kind
  /** What a value may be, to finish the sentence «must be …». */
  allowed: string
  /** Variables besides `DR_<PATH>`, strongest first. */
  env?: readonly string[]
  default?: unknown
  /** Never printed. */
  secret?: true
  /** Only the file sets it: a stray variable must not take a protection away. */
  fileOnly?: true
  /** `null`, or `none` in a variable, switches it off. */
  nullable?: true
}

const whole = (min: number, max: number) => ({schema: z.int().min(min).max(max), kind: 'number', allowed: `a whole number from ${min} to ${max}`}) as const
const share = (min: number, max: number) => ({schema: z.number().min(min).max(max), kind: 'number', allowed: `a number from ${min} to ${max}`}) as const
const truth = {schema: z.boolean(), kind: 'boolean', allowed: 'true or false'} as const
const span = {schema: z.string().regex(durationPattern), kind: 'text', allowed: 'a duration such as 500ms, 2s, 15m, 1h or 7d'} as const
const folder = {schema: z.string().min(1), kind: 'path', allowed: 'the path of a folder'} as const
const matching = (pattern: RegExp, allowed: string) => ({schema: z.string().regex(pattern), kind: 'text', allowed}) as const
const oneOf = <const T extends readonly string[]>(values: T) => ({schema: z.enum(values), kind: 'text', allowed: `one of ${values.join(', ')}`}) as const

const cron = /^\S+( \S+){4}$/
const describe = <S extends Setting>(text: string, setting: S): S => ({...setting, schema: setting.schema.describe(text)})

const ofFeature = {name: z.string().min(1), tables: z.array(z.string().min(1)).optional().describe('Only when one of these is concerned; without it always')}
/** A feature of the application that can be looked at from outside. */
const featureCheck = z.union([
  z.strictObject({...ofFeature, sql: z.string().min(1).describe('A query; each row that it returns is a failure')}),
  z.strictObject({...ofFeature, url: z.string().regex(/^https?:\/\/\S+$/).describe('Is asked for by GET'), expect: z.int().min(100).max(599).optional().describe('Status of the answer; else 200')}),
])

/** Every setting by its path in dr.config.yaml. */
export const settings = {
  protected: {...describe('Only typing the name of the database, or --confirm NAME, lets dr destroy something', truth), fileOnly: true},
  'database.url': {...describe('Connection URL of the database; better left to DATABASE_URL', matching(/^postgres(ql)?:\/\/\S+$/, 'a URL such as postgres://user:password@host:5432/name')), env: ['DATABASE_URL'], secret: true},
  'database.maintenanceDatabase': {...describe('Another database of the same server, to connect to while the main one is created or renamed', matching(/./, 'the name of a database')), default: 'postgres'},
  'database.tenantColumn': {...describe('Column that says to which tenant a row belongs', matching(/./, 'the name of a column')), default: 'tenantId'},
  'database.excludeSchemas': {schema: z.array(z.string().min(1)).describe('Schemas that are not backed up, beside those of partial restores; * stands for any text'), kind: 'list', allowed: 'a list of names of schemas', default: [...ownSchemas]},
  'database.migrationLock': {...describe('Advisory lock that the migration tool takes (Prisma: 72707369); null: none', {schema: z.int().nullable(), kind: 'number', allowed: 'a whole number, or null for none'}), default: 72_707_369, nullable: true},
  'local.directory': describe('Folder for local backups; default: backups in the data folder', folder),
  's3.bucket': {...describe('Bucket for backups', matching(/^([A-Za-z\d][\w.-]{1,253}|arn:\S+)$/, 'the name of a bucket, without s3://')), env: ['AWS_S3_BUCKET']},
  's3.region': {...describe('Region of the bucket; else that of the AWS profile, else us-east-1', matching(/^[a-z\d-]+$/, 'a region such as us-east-1')), env: ['AWS_REGION', 'AWS_DEFAULT_REGION']},
  's3.endpoint': {...describe('Endpoint of an S3-compatible store; default: AWS', matching(/^https?:\/\/\S+$/, 'a URL such as https://s3.example.com')), env: ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL']},
  's3.profile': {...describe('Profile of the AWS configuration files', matching(/./, 'the name of a profile')), env: ['AWS_PROFILE']},
  's3.prefix': {schema: z.string().regex(/^[^\s]*$/).describe('Folder in the bucket under which backups stand'), kind: 'text', allowed: 'a key prefix', default: 'dr'},
  's3.legacyPrefix': {schema: z.string().regex(/^[^\s]*$/).describe('Key prefix of dumps made by the old scripts'), kind: 'text', allowed: 'a key prefix', default: 'backups/'},
  's3.forcePathStyle': describe('Bucket in the path instead of the host name; default: as the endpoint needs it', truth),
  's3.checksums': {...describe('When requests carry the newer checksums; auto: on AWS always, elsewhere when required', oneOf(['auto', 'when-supported', 'when-required'])), default: 'auto'},
  'backup.destinations': {schema: z.array(z.enum(['local', 's3'])).min(1).describe('Where backups go; default: s3 when a bucket is configured, else local'), kind: 'list', allowed: 'a list of local and s3'},
  'backup.jobs': describe('Tables dumped at once; default: by processors', whole(1, 64)),
  'backup.compress': describe('Compression of the dump; default: the best that the client knows', matching(/^(none|(gzip|zstd)(:\d+)?)$/, 'none, or gzip or zstd with a level, such as zstd:1')),
  'backup.digest': {...describe('A digest of the rows of each table in the manifest; costs the server time', truth), default: false},
  'backup.blockedLimit': {...describe('The backup yields when it has kept somebody waiting this long', span), default: '500ms'},
  'backup.lockTimeout': {...describe('How long the backup itself waits for a lock', span), default: '2s'},
  'backup.attempts': {...describe('How often the backup starts anew after it has yielded', whole(1, 20)), default: 3},
  'backup.shrinkLimit': {...describe('A backup smaller than the last good one by more than this share is suspect', share(0, 1)), default: 0.5},
  'backup.stagingDirectory': describe('Folder for members on their way; default: on the disk of the local repository, else in the data folder', folder),
  'partial.lockTimeout': {...describe('How long the transaction of a partial restore waits for a lock', span), default: '2s'},
  'checks.features': {schema: z.array(featureCheck).describe('What is looked at after a partial restore: SQL whose rows are failures, or a URL that must answer'), kind: 'list', allowed: 'a list of {name, sql} and {name, url, expect}, each with tables if it is about some only', fileOnly: true},
  'restore.jobs': describe('Tables loaded at once; default: by processors', whole(1, 64)),
  'investigate.timestampColumns': {schema: z.array(z.string().min(1)).describe('Columns that say when a row was written, the last change first'), kind: 'list', allowed: 'a list of names of columns', default: ['updatedAt', 'createdAt']},
  'investigate.auditTable': {...describe('Table in which the application notes who did what', matching(/./, 'the name of a table')), default: 'audit_logs'},
  'investigate.auditTime': {...describe('Its column for the time', matching(/./, 'the name of a column')), default: 'createdAt'},
  'investigate.auditActor': {...describe('Its column for who did it', matching(/./, 'the name of a column')), default: 'userId'},
  'investigate.auditAction': {...describe('Its column for what was done', matching(/./, 'the name of a column')), default: 'action'},
  'investigate.auditResource': {...describe('Its column for the kind of thing', matching(/./, 'the name of a column')), default: 'resource'},
  'investigate.auditResourceId': {...describe('Its column for which thing', matching(/./, 'the name of a column')), default: 'resourceId'},
  'rds.instance': describe('Identifier of the RDS instance that holds the database', matching(/^[A-Za-z](-?[A-Za-z\d])*$/, 'the identifier of an instance')),
  'rds.region': {...describe('Region of the instance; else that of the AWS profile', matching(/^[a-z\d-]+$/, 'a region such as us-east-1')), env: ['AWS_REGION', 'AWS_DEFAULT_REGION']},
  'rds.endpoint': {...describe('Endpoint of an API that speaks as RDS does; default: AWS', matching(/^https?:\/\/\S+$/, 'a URL such as http://127.0.0.1:5000')), env: ['AWS_ENDPOINT_URL_RDS', 'AWS_ENDPOINT_URL']},
  'rds.profile': {...describe('Profile of the AWS configuration files', matching(/./, 'the name of a profile')), env: ['AWS_PROFILE']},
  'rds.pollSeconds': {...describe('How often dr looks at an instance that it waits for', share(0.05, 60)), default: 12.5},
  'rds.sideClass': describe('Instance class of copies that are only looked into; default: that of the source', matching(/^db\./, 'a class such as db.t4g.medium')),
  'rds.sideSecurityGroups': {schema: z.array(z.string().min(1)).min(1).describe('Security groups of copies that are only looked into: they should admit the operator alone; default: those of the source'), kind: 'list', allowed: 'a list of ids of security groups'},
  'rds.proxy': describe('RDS Proxy in front of the database, for a cut-over by proxy', matching(/./, 'the name of a proxy')),
  'rds.switchCommand': {schema: z.array(z.string().min(1)).min(1).describe('Command and arguments that point the application at another host, for a cut-over by url; {host}, {port} and {instance} are filled in'), kind: 'list', allowed: 'a list of a program and its arguments', fileOnly: true},
  'rds.caBundle': describe('Certificates of RDS (global-bundle.pem), to prove a restored instance by', {schema: z.string().min(1), kind: 'path', allowed: 'the path of a file'}),
  'tools.directory': {...describe('Folder of pg_dump and pg_restore; default: the best version found', folder), env: ['DR_PG_BIN']},
  'objectives.rto': describe('Recovery time objective: how long a recovery may take', span),
  'objectives.rpo': describe('Recovery point objective: how old the newest backup may be', span),
  'retention.days': describe('How long backups are kept', whole(1, 36_500)),
  'schedule.cron': {schema: z.string().regex(cron).nullable().describe('When backups run, UTC; null: never by themselves'), kind: 'text', allowed: 'five cron fields such as 0 2 * * *, or null for none', nullable: true},
  'application.encryptionKeyEnv': {...describe('Name of the variable that holds the application’s encryption key', matching(/^[A-Za-z_]\w*$/, 'the name of an environment variable')), default: 'ENCRYPTION_KEY'},
  'application.release': describe('Release of the application, written into the manifest', matching(/./, 'a text')),
} as const satisfies Record<string, Setting>

export type SettingPath = keyof typeof settings
export type SettingValue<P extends SettingPath> = z.output<(typeof settings)[P]['schema']>
export const settingPaths = Object.keys(settings) as SettingPath[]
export const settingOf = (path: SettingPath): Setting => settings[path]

/** Whether the value at this path must never be printed. */
export const isSecret = (path: string): boolean => path in settings && settingOf(path as SettingPath).secret === true

/** The variables that set this path, strongest first. */
export function variablesOf(path: SettingPath): readonly string[] {
  const {env = [], fileOnly} = settingOf(path)
  return fileOnly ? [] : [`DR_${path.replaceAll(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()}`, ...env]
}

/** JSON Schema of dr.config.yaml, for editors. */
export function fileJsonSchema(): object {
  const section = settingsObject()
  const file = section.extend({
    environment: z.enum(environments).describe('Environment when neither --environment nor DR_ENVIRONMENT names one').optional(),
    environments: z.strictObject(Object.fromEntries(environments.map((name) => [name, settingsObject().optional()]))).describe('Settings of one environment only').optional(),
  })
  return {title: 'Configuration of dr', ...z.toJSONSchema(file)}
}

function settingsObject() {
  const shape: Record<string, z.ZodType> = {}
  const sections = new Map<string, Record<string, z.ZodType>>()
  for (const path of settingPaths) {
    const [head = path, key] = path.split('.')
    if (key === undefined) shape[head] = settings[path].schema.optional()
    else sections.set(head, {...sections.get(head), [key]: settings[path].schema.optional()})
  }
  for (const [name, keys] of sections) shape[name] = z.strictObject(keys).optional()
  return z.strictObject(shape)
}
