using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace FineTuneService.Storage.Migrations
{
    /// <inheritdoc />
    public partial class SecretOverlap : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "previous_secret",
                schema: "finetune",
                table: "webhooks",
                type: "text",
                nullable: true);

            migrationBuilder.AddColumn<DateTimeOffset>(
                name: "previous_secret_expires_at",
                schema: "finetune",
                table: "webhooks",
                type: "timestamp with time zone",
                nullable: true);

            migrationBuilder.AddColumn<string>(
                name: "sha256",
                schema: "finetune",
                table: "uploads",
                type: "text",
                nullable: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "previous_secret",
                schema: "finetune",
                table: "webhooks");

            migrationBuilder.DropColumn(
                name: "previous_secret_expires_at",
                schema: "finetune",
                table: "webhooks");

            migrationBuilder.DropColumn(
                name: "sha256",
                schema: "finetune",
                table: "uploads");
        }
    }
}
