using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace FineTuneService.Storage.Migrations
{
    /// <inheritdoc />
    public partial class Preparations : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "origin",
                schema: "finetune",
                table: "datasets",
                type: "json",
                nullable: true);

            migrationBuilder.CreateTable(
                name: "preparations",
                schema: "finetune",
                columns: table => new
                {
                    id = table.Column<string>(type: "text", nullable: false),
                    project_id = table.Column<string>(type: "text", nullable: false),
                    dataset_id = table.Column<string>(type: "text", nullable: false),
                    validation_id = table.Column<string>(type: "text", nullable: true),
                    test_id = table.Column<string>(type: "text", nullable: true),
                    kind = table.Column<string>(type: "text", nullable: false),
                    status = table.Column<string>(type: "text", nullable: false),
                    request = table.Column<string>(type: "json", nullable: false),
                    phase = table.Column<string>(type: "text", nullable: true),
                    progress = table.Column<double>(type: "double precision", nullable: false),
                    reason = table.Column<string>(type: "text", nullable: true),
                    faults = table.Column<string>(type: "json", nullable: true),
                    result = table.Column<string>(type: "json", nullable: true),
                    attempt = table.Column<int>(type: "integer", nullable: false),
                    heartbeat_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    started_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    finished_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("pk_preparations", x => x.id);
                    table.ForeignKey(
                        name: "fk_preparations_datasets_dataset_id",
                        column: x => x.dataset_id,
                        principalSchema: "finetune",
                        principalTable: "datasets",
                        principalColumn: "id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateIndex(
                name: "ix_preparations_dataset_id",
                schema: "finetune",
                table: "preparations",
                column: "dataset_id");

            migrationBuilder.CreateIndex(
                name: "ix_preparations_status",
                schema: "finetune",
                table: "preparations",
                column: "status",
                filter: "status IN ('Queued', 'Running')");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "preparations",
                schema: "finetune");

            migrationBuilder.DropColumn(
                name: "origin",
                schema: "finetune",
                table: "datasets");
        }
    }
}
