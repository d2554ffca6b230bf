using System;
using Microsoft.EntityFrameworkCore.Migrations;
using Npgsql.EntityFrameworkCore.PostgreSQL.Metadata;

#nullable disable

namespace FineTuneService.Storage.Migrations
{
    /// <inheritdoc />
    public partial class Trust : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "project_id",
                schema: "finetune",
                table: "sweeps",
                type: "text",
                nullable: false,
                defaultValue: "proj_default");

            migrationBuilder.AddColumn<string>(
                name: "client",
                schema: "finetune",
                table: "jobs",
                type: "jsonb",
                nullable: true);

            migrationBuilder.AddColumn<DateTimeOffset>(
                name: "deadline",
                schema: "finetune",
                table: "jobs",
                type: "timestamp with time zone",
                nullable: true);

            migrationBuilder.AddColumn<string[]>(
                name: "depends_on",
                schema: "finetune",
                table: "jobs",
                type: "text[]",
                nullable: false,
                defaultValueSql: "'{}'");

            migrationBuilder.AddColumn<int>(
                name: "forgiven_attempts",
                schema: "finetune",
                table: "jobs",
                type: "integer",
                nullable: false,
                defaultValue: 0);

            migrationBuilder.AddColumn<double>(
                name: "max_runtime_seconds",
                schema: "finetune",
                table: "jobs",
                type: "double precision",
                nullable: true);

            migrationBuilder.AddColumn<DateTimeOffset>(
                name: "not_before",
                schema: "finetune",
                table: "jobs",
                type: "timestamp with time zone",
                nullable: true);

            migrationBuilder.AddColumn<DateTimeOffset>(
                name: "pause_requested_at",
                schema: "finetune",
                table: "jobs",
                type: "timestamp with time zone",
                nullable: true);

            migrationBuilder.AddColumn<int>(
                name: "priority",
                schema: "finetune",
                table: "jobs",
                type: "integer",
                nullable: false,
                defaultValue: 0);

            migrationBuilder.AddColumn<string>(
                name: "project_id",
                schema: "finetune",
                table: "jobs",
                type: "text",
                nullable: false,
                defaultValue: "proj_default");

            migrationBuilder.AddColumn<string>(
                name: "requires",
                schema: "finetune",
                table: "jobs",
                type: "text",
                nullable: true);

            migrationBuilder.AddColumn<double>(
                name: "run_seconds",
                schema: "finetune",
                table: "jobs",
                type: "double precision",
                nullable: false,
                defaultValue: 0.0);

            migrationBuilder.AddColumn<int>(
                name: "version",
                schema: "finetune",
                table: "jobs",
                type: "integer",
                nullable: false,
                defaultValue: 0);

            migrationBuilder.AddColumn<string>(
                name: "project_id",
                schema: "finetune",
                table: "datasets",
                type: "text",
                nullable: false,
                defaultValue: "proj_default");

            migrationBuilder.CreateTable(
                name: "api_keys",
                schema: "finetune",
                columns: table => new
                {
                    id = table.Column<string>(type: "text", nullable: false),
                    project_id = table.Column<string>(type: "text", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    prefix = table.Column<string>(type: "text", nullable: false),
                    hash = table.Column<string>(type: "text", nullable: false),
                    scopes = table.Column<string[]>(type: "text[]", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    expires_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    revoked_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    last_used_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_api_keys", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "audit",
                schema: "finetune",
                columns: table => new
                {
                    id = table.Column<long>(type: "bigint", nullable: false)
                        .Annotation("Npgsql:ValueGenerationStrategy", NpgsqlValueGenerationStrategy.IdentityAlwaysColumn),
                    time = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    project_id = table.Column<string>(type: "text", nullable: false),
                    caller = table.Column<string>(type: "text", nullable: false),
                    method = table.Column<string>(type: "text", nullable: false),
                    route = table.Column<string>(type: "text", nullable: false),
                    path = table.Column<string>(type: "text", nullable: false),
                    status = table.Column<int>(type: "integer", nullable: false),
                    address = table.Column<string>(type: "text", nullable: true),
                    trace_id = table.Column<string>(type: "text", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_audit", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "idempotent_requests",
                schema: "finetune",
                columns: table => new
                {
                    project_id = table.Column<string>(type: "text", nullable: false),
                    key = table.Column<string>(type: "text", nullable: false),
                    fingerprint = table.Column<string>(type: "text", nullable: false),
                    started_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    status = table.Column<int>(type: "integer", nullable: true),
                    content_type = table.Column<string>(type: "text", nullable: true),
                    location = table.Column<string>(type: "text", nullable: true),
                    body = table.Column<byte[]>(type: "bytea", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_idempotent_requests", x => new { x.project_id, x.key });
                });

            migrationBuilder.CreateTable(
                name: "projects",
                schema: "finetune",
                columns: table => new
                {
                    id = table.Column<string>(type: "text", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    max_storage_bytes = table.Column<long>(type: "bigint", nullable: true),
                    max_queued_jobs = table.Column<int>(type: "integer", nullable: true),
                    max_running_jobs = table.Column<int>(type: "integer", nullable: true),
                    max_device_hours = table.Column<double>(type: "double precision", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_projects", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "upload_parts",
                schema: "finetune",
                columns: table => new
                {
                    id = table.Column<string>(type: "text", nullable: false),
                    upload_id = table.Column<string>(type: "text", nullable: false),
                    bytes = table.Column<long>(type: "bigint", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_upload_parts", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "uploads",
                schema: "finetune",
                columns: table => new
                {
                    id = table.Column<string>(type: "text", nullable: false),
                    project_id = table.Column<string>(type: "text", nullable: false),
                    file_name = table.Column<string>(type: "text", nullable: false),
                    purpose = table.Column<string>(type: "text", nullable: false),
                    mime_type = table.Column<string>(type: "text", nullable: false),
                    bytes = table.Column<long>(type: "bigint", nullable: false),
                    status = table.Column<string>(type: "text", nullable: false),
                    dataset_id = table.Column<string>(type: "text", nullable: true),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    expires_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_uploads", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "webhook_deliveries",
                schema: "finetune",
                columns: table => new
                {
                    id = table.Column<string>(type: "text", nullable: false),
                    webhook_id = table.Column<string>(type: "text", nullable: false),
                    job_id = table.Column<string>(type: "text", nullable: false),
                    type = table.Column<string>(type: "text", nullable: false),
                    payload = table.Column<string>(type: "jsonb", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    attempts = table.Column<int>(type: "integer", nullable: false),
                    next_attempt_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    delivered_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    dead_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    last_status = table.Column<int>(type: "integer", nullable: true),
                    last_error = table.Column<string>(type: "text", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_webhook_deliveries", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "webhooks",
                schema: "finetune",
                columns: table => new
                {
                    id = table.Column<string>(type: "text", nullable: false),
                    project_id = table.Column<string>(type: "text", nullable: false),
                    url = table.Column<string>(type: "text", nullable: false),
                    secret = table.Column<string>(type: "text", nullable: false),
                    events = table.Column<string[]>(type: "text[]", nullable: false),
                    enabled = table.Column<bool>(type: "boolean", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_webhooks", x => x.id);
                });

            migrationBuilder.CreateTable(
                name: "workers",
                schema: "finetune",
                columns: table => new
                {
                    id = table.Column<string>(type: "text", nullable: false),
                    machine = table.Column<string>(type: "text", nullable: false),
                    capabilities = table.Column<string[]>(type: "text[]", nullable: false),
                    slots = table.Column<int>(type: "integer", nullable: false),
                    busy = table.Column<int>(type: "integer", nullable: false),
                    draining = table.Column<bool>(type: "boolean", nullable: false),
                    version = table.Column<string>(type: "text", nullable: false),
                    started_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    heartbeat_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_workers", x => x.id);
                });

            migrationBuilder.Sql("INSERT INTO finetune.projects (id, name, created_at) VALUES ('proj_default', 'Default', now());");

            migrationBuilder.CreateIndex(
                name: "ix_jobs_depends_on",
                schema: "finetune",
                table: "jobs",
                column: "depends_on")
                .Annotation("Npgsql:IndexMethod", "gin");

            migrationBuilder.CreateIndex(
                name: "ix_jobs_project_id_id",
                schema: "finetune",
                table: "jobs",
                columns: new[] { "project_id", "id" });

            migrationBuilder.CreateIndex(
                name: "ix_datasets_project_id",
                schema: "finetune",
                table: "datasets",
                column: "project_id");

            migrationBuilder.CreateIndex(
                name: "ix_api_keys_hash",
                schema: "finetune",
                table: "api_keys",
                column: "hash",
                unique: true);

            migrationBuilder.CreateIndex(
                name: "ix_audit_project_id_id",
                schema: "finetune",
                table: "audit",
                columns: new[] { "project_id", "id" });

            migrationBuilder.CreateIndex(
                name: "ix_upload_parts_upload_id",
                schema: "finetune",
                table: "upload_parts",
                column: "upload_id");

            migrationBuilder.CreateIndex(
                name: "ix_webhook_deliveries_next_attempt_at",
                schema: "finetune",
                table: "webhook_deliveries",
                column: "next_attempt_at",
                filter: "next_attempt_at IS NOT NULL");

            migrationBuilder.CreateIndex(
                name: "ix_webhook_deliveries_webhook_id",
                schema: "finetune",
                table: "webhook_deliveries",
                column: "webhook_id");

            migrationBuilder.CreateIndex(
                name: "ix_webhooks_project_id",
                schema: "finetune",
                table: "webhooks",
                column: "project_id");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "api_keys",
                schema: "finetune");

            migrationBuilder.DropTable(
                name: "audit",
                schema: "finetune");

            migrationBuilder.DropTable(
                name: "idempotent_requests",
                schema: "finetune");

            migrationBuilder.DropTable(
                name: "projects",
                schema: "finetune");

            migrationBuilder.DropTable(
                name: "upload_parts",
                schema: "finetune");

            migrationBuilder.DropTable(
                name: "uploads",
                schema: "finetune");

            migrationBuilder.DropTable(
                name: "webhook_deliveries",
                schema: "finetune");

            migrationBuilder.DropTable(
                name: "webhooks",
                schema: "finetune");

            migrationBuilder.DropTable(
                name: "workers",
                schema: "finetune");

            migrationBuilder.DropIndex(
                name: "ix_jobs_depends_on",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropIndex(
                name: "ix_jobs_project_id_id",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropIndex(
                name: "ix_datasets_project_id",
                schema: "finetune",
                table: "datasets");

            migrationBuilder.DropColumn(
                name: "project_id",
                schema: "finetune",
                table: "sweeps");

            migrationBuilder.DropColumn(
                name: "client",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "deadline",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "depends_on",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "forgiven_attempts",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "max_runtime_seconds",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "not_before",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "pause_requested_at",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "priority",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "project_id",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "requires",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "run_seconds",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "version",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "project_id",
                schema: "finetune",
                table: "datasets");
        }
    }
}
