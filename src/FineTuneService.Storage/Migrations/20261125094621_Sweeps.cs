using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace FineTuneService.Storage.Migrations
{
    /// <inheritdoc />
    public partial class Sweeps : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "sweep_id",
                schema: "finetune",
                table: "jobs",
                type: "text",
                nullable: true);

            migrationBuilder.CreateTable(
                name: "sweep_trials",
                schema: "finetune",
                columns: table => new
                {
                    sweep_id = table.Column<string>(type: "text", nullable: false),
                    number = table.Column<int>(type: "integer", nullable: false),
                    rung = table.Column<int>(type: "integer", nullable: false),
                    parameters = table.Column<string>(type: "jsonb", nullable: false),
                    spec = table.Column<string>(type: "jsonb", nullable: false),
                    resolutions = table.Column<string>(type: "jsonb", nullable: false),
                    job_id = table.Column<string>(type: "text", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_sweep_trials", x => new { x.sweep_id, x.rung, x.number });
                });

            migrationBuilder.CreateTable(
                name: "sweeps",
                schema: "finetune",
                columns: table => new
                {
                    id = table.Column<string>(type: "text", nullable: false),
                    name = table.Column<string>(type: "text", nullable: true),
                    status = table.Column<string>(type: "text", nullable: false),
                    reason = table.Column<string>(type: "text", nullable: true),
                    spec = table.Column<string>(type: "jsonb", nullable: false),
                    metric = table.Column<string>(type: "text", nullable: false),
                    greater_is_better = table.Column<bool>(type: "boolean", nullable: false),
                    max_concurrent_jobs = table.Column<int>(type: "integer", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    finished_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    cancel_requested_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_sweeps", x => x.id);
                });

            migrationBuilder.CreateIndex(
                name: "ix_jobs_sweep_id",
                schema: "finetune",
                table: "jobs",
                column: "sweep_id");

            migrationBuilder.CreateIndex(
                name: "ix_sweeps_status",
                schema: "finetune",
                table: "sweeps",
                column: "status");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "sweep_trials",
                schema: "finetune");

            migrationBuilder.DropTable(
                name: "sweeps",
                schema: "finetune");

            migrationBuilder.DropIndex(
                name: "ix_jobs_sweep_id",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "sweep_id",
                schema: "finetune",
                table: "jobs");
        }
    }
}
