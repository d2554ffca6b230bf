using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Api.Uploads;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

public sealed class OpenAiUploadsTests(Api api)
{
    private const string First = "{\"prompt\": \"a\", \"comp", Second = "letion\": \"b\"}\n", Whole = First + Second;

    [Fact]
    public async Task Parts_make_a_file_in_the_order_that_is_told_at_the_end()
    {
        var upload = await Create(Whole.Length);
        var id = (string)upload["id"]!;
        var (second, first) = (await AddPart(id, Second), await AddPart(id, First));

        var done = await Complete(id, HttpStatusCode.OK, Md5(Whole), first, second);

        Assert.Equal(["bytes", "created_at", "expires_at", "file", "filename", "id", "object", "purpose", "status"], upload.Select(member => member.Key).Order());
        Assert.Equal(("upload", "pending", null, 3600), ((string?)upload["object"], (string?)upload["status"], upload["file"], (int)upload["expires_at"]! - (int)upload["created_at"]!));
        Assert.Equal("completed", (string?)done["status"]);
        Assert.Equal(("file", "processed", "big.jsonl"), ((string?)done["file"]!["object"], (string?)done["file"]!["status"], (string?)done["file"]!["filename"]));
        Assert.Equal(Whole, await api.Http.GetStringAsync($"/v1/files/{done["file"]!["id"]}/content", Api.Cancel));
        Assert.False(Directory.Exists(Folder(id)));
        await Complete(id, HttpStatusCode.Conflict, null, first, second);
    }

    [Fact]
    public async Task A_part_says_what_it_belongs_to()
    {
        var id = (string)(await Create(3))["id"]!;

        var part = await Api.Read(await api.Http.PostAsync($"/v1/uploads/{id}/parts", Data("abc"), Api.Cancel), HttpStatusCode.OK);

        Assert.Equal(["created_at", "id", "object", "upload_id"], part.Select(member => member.Key).Order());
        Assert.Equal(("upload.part", id), ((string?)part["object"], (string?)part["upload_id"]));
        Assert.StartsWith("part_", (string)part["id"]!);
    }

    [Fact]
    public async Task What_does_not_make_the_file_is_refused_and_can_be_mended()
    {
        var id = (string)(await Create(Whole.Length))["id"]!;
        var (first, second) = (await AddPart(id, First), await AddPart(id, Second));

        Assert.Equal("part_ids[1]", (string?)(await Complete(id, HttpStatusCode.BadRequest, null, first, "part_0"))["param"]);
        Assert.Equal("part_ids", (string?)(await Complete(id, HttpStatusCode.BadRequest, null, first))["param"]);
        Assert.Equal("md5", (string?)(await Complete(id, HttpStatusCode.BadRequest, Md5("other"), first, second))["param"]);
        Assert.StartsWith("big.jsonl:", (string)(await Complete(id, HttpStatusCode.BadRequest, null, second, first))["message"]!);
        await Complete(id, HttpStatusCode.OK, null, first, second);
    }

    [Fact]
    public async Task A_cancelled_upload_takes_nothing_more()
    {
        var id = (string)(await Create(Whole.Length))["id"]!;
        var part = await AddPart(id, Whole);

        Assert.Equal("cancelled", (string?)(await api.Post($"/v1/uploads/{id}/cancel", "", HttpStatusCode.OK))["status"]);

        Assert.False(Directory.Exists(Folder(id)));
        await Api.Read(await api.Http.PostAsync($"/v1/uploads/{id}/parts", Data("x"), Api.Cancel), HttpStatusCode.Conflict);
        await Complete(id, HttpStatusCode.Conflict, null, part);
        await api.Post($"/v1/uploads/{id}/cancel", "", HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task What_has_expired_is_swept_with_all_that_a_dead_process_left()
    {
        var (old, fresh) = ((string)(await Create(3))["id"]!, (string)(await Create(3))["id"]!);
        await AddPart(old, "abc");
        await AddPart(fresh, "abc");
        var lost = Directory.CreateDirectory(Folder("upload_lost")).FullName;
        await api.InDatabase(db => db.Uploads.Where(row => row.Id == old).ExecuteDeleteAsync(Api.Cancel));
        await api.InDatabase(db =>
        {
            var now = TimeProvider.System.GetUtcNow();
            db.Uploads.Add(new() { Id = old, ProjectId = Project.Default, FileName = "big.jsonl", Purpose = "fine-tune", MimeType = "x", Bytes = 3, CreatedAt = now.AddHours(-2), ExpiresAt = now.AddHours(-1) });
            return db.SaveChangesAsync(Api.Cancel);
        });
        Assert.Contains("expired", (string)(await Api.Read(await api.Http.PostAsync($"/v1/uploads/{old}/parts", Data("x"), Api.Cancel), HttpStatusCode.Conflict))["message"]!);

        await api.Services.GetRequiredService<SweepUploads>().Sweep(Api.Cancel);

        Assert.Equal((false, true, false), (Directory.Exists(Folder(old)), Directory.Exists(Folder(fresh)), Directory.Exists(lost)));
        Assert.Equal(UploadStatus.Expired, await api.InDatabase(db => db.Uploads.Where(row => row.Id == old).Select(row => row.Status).SingleAsync(Api.Cancel)));
    }

    [Theory]
    [InlineData("""{"filename": "a.exe", "purpose": "fine-tune", "bytes": 1, "mime_type": "x"}""", "filename")]
    [InlineData("""{"filename": "../a.jsonl", "purpose": "fine-tune", "bytes": 1, "mime_type": "x"}""", "filename")]
    [InlineData("""{"filename": "a.jsonl", "purpose": "vision", "bytes": 1, "mime_type": "x"}""", "purpose")]
    [InlineData("""{"filename": "a.jsonl", "purpose": "fine-tune", "bytes": 0, "mime_type": "x"}""", "bytes")]
    [InlineData("""{"filename": "a.jsonl", "purpose": "fine-tune", "bytes": 1, "mime_type": "x", "expires_after": {"anchor": "created_at", "seconds": 3600}}""", "expires_after")]
    public async Task A_faulty_beginning_names_its_field(string body, string param) =>
        Assert.Equal(param, (string?)(await api.Post("/v1/uploads", body, HttpStatusCode.BadRequest))["param"]);

    [Fact]
    public async Task Nobody_fills_the_disk_with_parts()
    {
        await api.Post("/v1/uploads", """{"filename": "a.jsonl", "purpose": "fine-tune", "bytes": 2000001, "mime_type": "x"}""", HttpStatusCode.RequestEntityTooLarge);
        var id = (string)(await Create(3))["id"]!;
        await AddPart(id, "abcd");
        await Api.Read(await api.Http.PostAsync($"/v1/uploads/{id}/parts", Data("abc"), Api.Cancel), HttpStatusCode.RequestEntityTooLarge);
        await AddPart(id, "ab");
        Assert.Equal("data", (string?)(await Api.Read(await api.Http.PostAsync($"/v1/uploads/{id}/parts", Data("a"), Api.Cancel), HttpStatusCode.BadRequest))["param"]);
        Assert.Equal(2, Directory.GetFiles(Folder(id)).Length);
    }

    private string Folder(string id) => Path.Combine(api.Storage.UploadsDirectory, id);

    private Task<JsonObject> Create(int bytes) => api.Post("/v1/uploads", $$"""{"filename": "big.jsonl", "purpose": "fine-tune", "bytes": {{bytes}}, "mime_type": "text/jsonl"}""", HttpStatusCode.OK);

    private async Task<string> AddPart(string id, string data) => (string)(await Api.Read(await api.Http.PostAsync($"/v1/uploads/{id}/parts", Data(data), Api.Cancel), HttpStatusCode.OK))["id"]!;

    private static MultipartFormDataContent Data(string data) => new() { { new ByteArrayContent(Encoding.UTF8.GetBytes(data)), "data", "blob" } };

    private Task<JsonObject> Complete(string id, HttpStatusCode expected, string? md5, params string[] parts) =>
        api.Post($"/v1/uploads/{id}/complete", new JsonObject { ["part_ids"] = new JsonArray([.. parts.Select(part => JsonValue.Create(part))]), ["md5"] = md5 }.ToJsonString(), expected);

    private static string Md5(string text)
    {
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        md5.AppendData(Encoding.UTF8.GetBytes(text));
        return Convert.ToHexStringLower(md5.GetHashAndReset());
    }
}
