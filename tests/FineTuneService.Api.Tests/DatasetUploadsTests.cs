using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Api.Access;
using FineTuneService.Api.Uploads;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

/// <summary>Large files in parts, over connections that break.</summary>
public sealed class DatasetUploadsTests(Api api)
{
    private const string First = "text,label\ngo", Second = "od,1\nbad,0\n", Whole = First + Second;

    [Fact]
    public async Task An_upload_goes_on_where_its_connection_broke_off()
    {
        var id = await Begin(Whole.Length, Sha256(Whole));
        await Put(id, 1, First);
        await BreakOff(id, 2, Second);

        var seen = await api.Get($"/datasets/uploads/{id}");
        Assert.Equal((1, First.Length, "pending"), ((int)Assert.Single(seen["parts"]!.AsArray())!["number"]!, (int)seen["received_bytes"]!, (string?)seen["status"]));
        Assert.Equal(["parts"], Api.Pointers(await Complete(id, HttpStatusCode.UnprocessableEntity)));
        await Put(id, 2, Second);
        var dataset = await Complete(id, HttpStatusCode.Created);

        Assert.Equal(("sst2/big.csv", "big.csv", Sha256(Whole), 2), ((string?)dataset["name"], (string?)dataset["file_name"], (string?)dataset["sha256"], (int)dataset["rows"]!));
        Assert.Equal(Whole, await api.Http.GetStringAsync($"/datasets/{dataset["id"]}/content", Api.Cancel));
        Assert.Equal((string?)dataset["id"], (string?)(await Complete(id, HttpStatusCode.Created))["id"]); // Its answer may have been lost.
        var done = await api.Get($"/datasets/uploads/{id}");
        Assert.Equal(("completed", (string?)dataset["id"], 0), ((string?)done["status"], (string?)done["dataset_id"], done["parts"]!.AsArray().Count));
        Assert.False(Directory.Exists(Folder(id)));
        await Put(id, 1, First, HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task A_part_takes_the_place_of_its_earlier_self_in_any_order_and_at_the_same_time()
    {
        var id = await Begin(Whole.Length);
        await Put(id, 20, "wrong");

        await Task.WhenAll(Put(id, 20, Second), Put(id, 3, First), Put(id, 3, First));

        var part = await Put(id, 3, First);
        Assert.Equal((3, First.Length, Sha256(First)), ((int)part["number"]!, (int)part["bytes"]!, (string?)part["sha256"]));
        Assert.Equal([3, 20], (await api.Get($"/datasets/uploads/{id}"))["parts"]!.AsArray().Select(one => (int)one!["number"]!));
        Assert.Equal(2, Directory.GetFiles(Folder(id)).Length);
        Assert.Equal(Sha256(Whole), (string?)(await Complete(id, HttpStatusCode.Created))["sha256"]);
    }

    [Fact]
    public async Task What_was_damaged_on_its_way_is_refused_and_can_be_sent_again()
    {
        var id = await Begin(Whole.Length, Sha256(Whole));
        await Put(id, 1, First, digest: Digest(First));

        Assert.Equal(["Content-Digest"], Api.Pointers(await Put(id, 2, Second.ToUpperInvariant(), HttpStatusCode.UnprocessableEntity, Digest(Second))));
        Assert.Equal(["Content-Digest"], Api.Pointers(await Put(id, 2, Second, HttpStatusCode.UnprocessableEntity, "sha-512=:AAAA:")));
        Assert.Single(Directory.GetFiles(Folder(id)));
        await Put(id, 2, Second.ToUpperInvariant());
        Assert.Equal(["sha256"], Api.Pointers(await Complete(id, HttpStatusCode.UnprocessableEntity)));
        await Put(id, 2, Second, digest: $"md5=:AAAA:, {Digest(Second)}");
        await Complete(id, HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_file_with_faults_is_refused_as_one_that_is_sent_at_once()
    {
        const string Rows = "text,label\n\"open,1\n";
        var id = await Begin(Rows.Length);
        await Put(id, 1, Rows);

        Assert.StartsWith("big.csv:", Api.Pointers(await Complete(id, HttpStatusCode.UnprocessableEntity)).First());
        Assert.Equal("pending", (string?)(await api.Get($"/datasets/uploads/{id}"))["status"]);
    }

    [Fact]
    public async Task Nobody_fills_the_disk_with_parts()
    {
        await api.Post("/datasets/uploads", """{"name": "a.csv", "bytes": 2000001}""", HttpStatusCode.RequestEntityTooLarge);
        var id = await Begin(5);
        await Put(id, 1, "abc");
        Assert.Equal(["Content-Length"], Api.Pointers(await Put(id, 2, "abc", HttpStatusCode.UnprocessableEntity)));
        Assert.Equal(["Content-Length"], Api.Pointers(await Put(id, 2, "", HttpStatusCode.UnprocessableEntity)));
        Assert.Equal(["number"], Api.Pointers(await Put(id, 0, "a", HttpStatusCode.UnprocessableEntity)));
        await Put(id, 1, "abcde");

        using var endless = new HttpRequestMessage(HttpMethod.Put, $"/datasets/uploads/{id}/parts/1") { Content = new StreamContent(new MemoryStream([1])) };
        (endless.Headers.TransferEncodingChunked, endless.Content.Headers.ContentLength) = (true, null);
        await Api.Read(await api.Http.SendAsync(endless, Api.Cancel), HttpStatusCode.LengthRequired);
        Assert.Single(Directory.GetFiles(Folder(id)));
    }

    [Theory]
    [InlineData("""{"name": "a.exe", "bytes": 1}""", "/name")]
    [InlineData("""{"name": "a.csv\u0000", "bytes": 1}""", "/name")]
    [InlineData("""{"name": "a.csv/", "bytes": 1}""", "/name")]
    [InlineData("""{"name": "a.csv", "bytes": 0}""", "/bytes")]
    [InlineData("""{"name": "a.csv", "bytes": 1, "sha256": "abc"}""", "/sha256")]
    public async Task A_faulty_beginning_names_its_field(string body, string pointer) =>
        Assert.Equal([pointer], Api.Pointers(await api.Post("/datasets/uploads", body, HttpStatusCode.UnprocessableEntity)));

    [Fact]
    public async Task A_project_s_storage_is_its_limit_from_the_beginning_to_the_end()
    {
        var project = (string)(await api.Post("/projects", """{"name": "small", "limits": {"max_storage_bytes": 30}}""", HttpStatusCode.Created))["id"]!;
        using var http = new HttpClient(new SocketsHttpHandler()) { BaseAddress = api.Http.BaseAddress };
        http.DefaultRequestHeaders.Authorization = new("Bearer", Api.Key);
        http.DefaultRequestHeaders.Add(Caller.ProjectHeader, project);
        async Task<JsonObject> Post(string path, string body, HttpStatusCode expected) => await Api.Read(await http.PostAsync(path, new StringContent(body, Encoding.UTF8, "application/json"), Api.Cancel), expected);

        await Post("/datasets/uploads", """{"name": "a.csv", "bytes": 31}""", HttpStatusCode.RequestEntityTooLarge);
        var id = (string)(await Post("/datasets/uploads", $$"""{"name": "a.csv", "bytes": {{Whole.Length}} }""", HttpStatusCode.Created))["id"]!;
        await Api.Read(await http.PutAsync($"/datasets/uploads/{id}/parts/1", new ByteArrayContent(Encoding.UTF8.GetBytes(Whole)), Api.Cancel), HttpStatusCode.OK);
        await Api.Read(await http.PostAsync("/datasets", Api.Form("b.csv", "text,label\na,1\n"u8.ToArray()), Api.Cancel), HttpStatusCode.Created);
        await Post($"/datasets/uploads/{id}/complete", "", HttpStatusCode.RequestEntityTooLarge);

        await api.Get($"/datasets/uploads/{id}", HttpStatusCode.NotFound); // Another project's.
    }

    [Fact]
    public async Task What_is_abandoned_or_has_expired_takes_nothing_more_and_is_swept()
    {
        var (abandoned, old) = (await Begin(3), await Begin(3));
        await Put(abandoned, 1, "abc");
        await Put(old, 1, "abc");

        await Api.Read(await api.Http.DeleteAsync($"/datasets/uploads/{abandoned}", Api.Cancel), HttpStatusCode.NoContent);
        Assert.False(Directory.Exists(Folder(abandoned)));
        await Put(abandoned, 1, "abc", HttpStatusCode.Conflict);
        await Api.Read(await api.Http.DeleteAsync($"/datasets/uploads/{abandoned}", Api.Cancel), HttpStatusCode.Conflict);

        await api.InDatabase(db => db.Database.ExecuteSqlAsync($"UPDATE finetune.uploads SET expires_at = now() - interval '1 second' WHERE id = {old}", Api.Cancel));
        Assert.Equal("expired", (string?)(await api.Get($"/datasets/uploads/{old}"))["status"]);
        await api.Services.GetRequiredService<SweepUploads>().Sweep(Api.Cancel);
        Assert.False(Directory.Exists(Folder(old)));
        await Complete(old, HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task The_two_surfaces_keep_their_uploads_apart()
    {
        var ours = await Begin(3);
        var theirs = (string)(await api.Post("/v1/uploads", """{"filename": "a.jsonl", "purpose": "fine-tune", "bytes": 3, "mime_type": "x"}""", HttpStatusCode.OK))["id"]!;

        await api.Post($"/v1/uploads/{ours}/cancel", "", HttpStatusCode.NotFound);
        await Put(theirs, 1, "abc", HttpStatusCode.NotFound);
    }

    private string Folder(string id) => Path.Combine(api.Storage.UploadsDirectory, id);

    private async Task<string> Begin(int bytes, string? sha256 = null)
    {
        var upload = await api.Post("/datasets/uploads", new JsonObject { ["name"] = "sst2/big.csv", ["bytes"] = bytes, ["sha256"] = sha256?.ToUpperInvariant() }.ToJsonString(), HttpStatusCode.Created);
        Assert.Equal((sha256, TimeSpan.FromDays(1)), ((string?)upload["sha256"], (DateTimeOffset)upload["expires_at"]! - (DateTimeOffset)upload["created_at"]!));
        return (string)upload["id"]!;
    }

    private async Task<JsonObject> Put(string id, int number, string data, HttpStatusCode expected = HttpStatusCode.OK, string? digest = null)
    {
        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes(data));
        if (digest is not null)
            content.Headers.Add("Content-Digest", digest);
        return await Api.Read(await api.Http.PutAsync($"/datasets/uploads/{id}/parts/{number}", content, Api.Cancel), expected);
    }

    /// <summary>Sends the half of a part, and nothing more; returns when the service has let it go.</summary>
    private async Task BreakOff(string id, int number, string data)
    {
        var address = api.Http.BaseAddress!;
        using (var socket = new TcpClient())
        {
            await socket.ConnectAsync(address.Host, address.Port, Api.Cancel);
            await socket.GetStream().WriteAsync(Encoding.UTF8.GetBytes(
                $"PUT /datasets/uploads/{id}/parts/{number} HTTP/1.1\r\nHost: {address.Authority}\r\nAuthorization: Bearer {Api.Key}\r\nContent-Length: {data.Length}\r\n\r\n{data[..(data.Length / 2)]}"), Api.Cancel);
            while (Directory.GetFiles(Folder(id)).Length < 2) // It has begun to write.
                await Task.Delay(10, Api.Cancel);
        }
        while (Directory.GetFiles(Folder(id)).Length > 1)
            await Task.Delay(10, Api.Cancel);
    }

    private Task<JsonObject> Complete(string id, HttpStatusCode expected) => api.Post($"/datasets/uploads/{id}/complete", "", expected);

    private static string Sha256(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    private static string Digest(string text) => $"sha-256=:{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}:";
}
