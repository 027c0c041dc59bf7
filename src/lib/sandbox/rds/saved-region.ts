import {existsSync} from 'node:fs'
import {readJson, writeJson} from '../s3/disk.ts'
import type {SavedInstance} from './instance.ts'
import type {Settings} from './settings.ts'

/** In the folder of the service. */
export const REGION_FILE = 'region.json'

/** What is kept of a region, as plain JSON: everything but the clusters. Times are milliseconds since 1970. */
export interface SavedRegion {
  version: 1
  instances: readonly SavedInstance[]
  /** Automated backups that outlived their instance. */
  retained: readonly {instance: SavedInstance; arn: string}[]
  snapshots: readonly (Omit<Snapshot, 'at'> & {at: number})[]
  events: readonly (Omit<ServiceEvent, 'Date'> & {Date: number})[]
  /** By the names that instances have or had. */
  ports: Readonly<Record<string, number>>
  parameterGroups: Readonly<Record<string, Readonly<Record<string, string>>>>
  subnetGroups: readonly string[]
}

export interface ServiceEvent {
  SourceIdentifier: string
  SourceType: 'db-instance'
  Message: string
  EventCategories: readonly string[]
  Date: Date
  SourceArn: string
}

export interface Snapshot {
  id: string
  source: string
  resourceId: string
  at: Date
  status: string
  type: 'manual'
  settings: Settings
}

/** Undefined when nothing was kept yet. */
export const readRegion = (file: string): SavedRegion | undefined => (existsSync(file) ? (readJson(file) as SavedRegion) : undefined)

export const writeRegion = (file: string, region: SavedRegion): void => { writeJson(file, region) }
