using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace FineTuneService.Storage.Migrations
{
    /// <inheritdoc />
    public partial class JobMemory : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<long>(
                name: "forecast_memory_bytes",
                schema: "finetune",
                table: "jobs",
                type: "bigint",
                nullable: true);

            migrationBuilder.AddColumn<long>(
                name: "peak_memory_bytes",
                schema: "finetune",
                table: "jobs",
                type: "bigint",
                nullable: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "forecast_memory_bytes",
                schema: "finetune",
                table: "jobs");

            migrationBuilder.DropColumn(
                name: "peak_memory_bytes",
                schema: "finetune",
                table: "jobs");
        }
    }
}
