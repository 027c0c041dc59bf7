import type {Environment} from './config.ts'
import {profiles} from './profiles.ts'

/** A commented dr.config.yaml: only `environment` is set, everything else shows what holds without it. */
export function configTemplate(environment: Environment): string {
  const profile = profiles[environment]
  const words: Readonly<Record<string, unknown>> = {
    environment,
    rto: profile['objectives.rto'],
    rpo: profile['objectives.rpo'],
    days: profile['retention.days'],
    cron: JSON.stringify(profile['schedule.cron'] ?? null),
  }
  return TEMPLATE.replaceAll(/\{([a-z]+)\}/g, (_, name: string) => String(words[name]))
}

const TEMPLATE = `# Configuration of dr. Flags and environment variables override it.
# See each value and where it comes from: dr config show
# Secrets do not belong here: leave the connection URL to DATABASE_URL and the keys of S3 to the AWS variables or a profile.

# Used when neither --environment nor DR_ENVIRONMENT names one: production, staging or development.
environment: {environment}

database:
  # Another database of the same server, to connect to while the main one is created or renamed.
  # maintenanceDatabase: postgres
  # tenantColumn: tenantId
  # excludeSchemas: [dr_stage_*, dr_undo_*]
  # Advisory lock of the migration tool (this is Prisma's); null: take none.
  # migrationLock: 72707369

local:
  # Relative to this file. Without it: backups in dr's own data folder.
  # directory: /var/backups/dr

s3:
  # Also AWS_S3_BUCKET, AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3.
  # bucket: my-backups
  # region: us-east-1 # else the one of the AWS profile
  # endpoint: https://s3.example.com
  # prefix: dr

backup:
  # Without it: s3 when a bucket is configured, else local.
  # destinations: [local, s3]
  # jobs: 4
  # compress: zstd:1
  # digest: false
  # The backup yields when it has kept somebody waiting this long, and starts anew so often.
  # blockedLimit: 500ms
  # attempts: 3

rds:
  # Also DR_RDS_INSTANCE, AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_RDS.
  # instance: crm-production
  # region: us-east-1 # else the one of the AWS profile
  # Where the application gets its URL from, for dr pitr cutover --mode url.
  # switchCommand: [./switch-database.sh, "{host}", "{port}"]
  # proxy: crm-proxy
  # Of copies that are only looked into; they should admit the operator alone.
  # sideClass: db.t4g.medium
  # sideSecurityGroups: [sg-0abc]
  # caBundle: /etc/ssl/rds/global-bundle.pem

# After a partial restore: each row that sql returns is a failure; url must answer with expect, else 200.
# checks:
#   features: [{name: leads have titles, sql: select id from leads where title = '', tables: [leads]}, {name: the API is ready, url: https://api.example.com/health/ready}]

# What the runbook asks of {environment}:
# objectives:
#   rto: {rto}
#   rpo: {rpo}
# retention:
#   days: {days}
# schedule:
#   cron: {cron}

# Settings of one environment only; the same names as above.
# environments:
#   production:
#     s3:
#       bucket: my-backups-production
#     # Destroying needs the name of the database to be typed, or --confirm NAME.
#     protected: true
`
