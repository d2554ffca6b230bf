using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace FineTuneService.Storage.Migrations
{
    /// <inheritdoc />
    public partial class Charts : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "metric_rollups",
                schema: "finetune",
                columns: table => new
                {
                    job_id = table.Column<string>(type: "text", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    bucket = table.Column<long>(type: "bigint", nullable: false),
                    low = table.Column<double>(type: "double precision", nullable: false),
                    low_seq = table.Column<long>(type: "bigint", nullable: false),
                    high = table.Column<double>(type: "double precision", nullable: false),
                    high_seq = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_metric_rollups", x => new { x.job_id, x.name, x.bucket });
                });

            migrationBuilder.CreateIndex(
                name: "ix_jobs_requires_priority_id",
                schema: "finetune",
                table: "jobs",
                columns: new[] { "requires", "priority", "id" },
                filter: "status IN ('Queued', 'Retrying')");

            // Of the runs that are there already.
            migrationBuilder.Sql("""
                INSERT INTO finetune.metric_rollups (job_id, name, bucket, low, low_seq, high, high_seq)
                SELECT metric.job_id, metric.name, metric.seq / 64, min(value), (array_agg(seq ORDER BY value, seq))[1], max(value), (array_agg(seq ORDER BY value DESC, seq))[1]
                FROM finetune.metrics AS metric JOIN finetune.jobs AS job ON job.id = metric.job_id
                WHERE metric.seq < (job.log_seq + 1) / 64 * 64
                GROUP BY 1, 2, 3
                """);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "metric_rollups",
                schema: "finetune");

            migrationBuilder.DropIndex(
                name: "ix_jobs_requires_priority_id",
                schema: "finetune",
                table: "jobs");
        }
    }
}
