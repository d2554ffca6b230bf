using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Api.Datasets;

namespace FineTuneService.Api.Tests;

public sealed class DatasetsTests(Api api)
{
    private const string Csv = "text,label\n\"good, very\",1\nbad,0\nfine,1\n";

    [Fact]
    public async Task An_upload_is_profiled_listed_and_downloaded_as_it_was()
    {
        using var response = await api.Http.PostAsync("/datasets", Api.Form("reviews.csv", Encoding.UTF8.GetBytes(Csv), "Reviews"), Api.Cancel);
        var location = response.Headers.Location;
        var made = await Api.Read(response, HttpStatusCode.Created);

        Assert.Equal($"/datasets/{made["id"]}", location!.ToString());
        Assert.Equal(("Reviews", "reviews.csv", "csv", 3), ((string)made["name"]!, (string)made["file_name"]!, (string)made["format"]!, (int)made["rows"]!));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Csv))), (string)made["sha256"]!);
        Assert.Equal("""{"1":2,"0":1}""", made["profile"]!["columns"]![1]!["counts"]!.ToJsonString());
        Assert.Equal("good, very", (string)made["profile"]!["first_rows"]![0]!["text"]!);
        Assert.True(JsonNode.DeepEquals(made, await api.Get(location.ToString())));
        Assert.Equal(Csv, await api.Http.GetStringAsync($"{location}/content", Api.Cancel));
    }

    [Theory]
    [InlineData("rows.tsv", "text\tlabel\na\t1\nb\t0\n")]
    [InlineData("rows.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 0}\n")]
    public async Task Tsv_and_jsonl_are_understood(string fileName, string content) => Assert.Equal(2, (int)(await api.Upload(fileName, content))["rows"]!);

    [Theory]
    [InlineData("empty.csv", "", "empty.csv:1")]
    [InlineData("header.csv", "text,label\n", "header.csv:1")]
    [InlineData("ragged.csv", "text,label\nfine,1\nbad\n", "ragged.csv:3")]
    [InlineData("broken.jsonl", "{\"text\": \"a\"}\n{\"text\": \n", "broken.jsonl:2")]
    [InlineData("nul.csv", "text,label\na\0,1\n", "nul.csv:2")]
    [InlineData("rows.parquet", "PAR1", "rows.parquet:1")]
    [InlineData("rows.xlsx", "PK", "rows.xlsx")]
    public async Task A_bad_file_is_refused_with_its_line_and_leaves_nothing(string fileName, string content, string pointer)
    {
        var problem = await api.Upload(fileName, content, "refused", HttpStatusCode.UnprocessableEntity);

        var fault = problem["faults"]![0]!;
        Assert.Equal(pointer, (string)fault["pointer"]!);
        Assert.NotEmpty((string)fault["message"]!);
        Assert.NotEmpty((string)fault["remedy"]!);
        await NothingIsLeftOf("refused", Encoding.UTF8.GetBytes(content));
    }

    [Fact]
    public async Task Invalid_UTF_8_is_refused_with_its_line()
    {
        byte[] content = [.. "text,label\ncaf"u8, 0xE9, .. ",1\n"u8];
        using var form = Api.Form("latin1.csv", content, "refused latin1");

        var problem = await Api.Read(await api.Http.PostAsync("/datasets", form, Api.Cancel), HttpStatusCode.UnprocessableEntity);

        Assert.Equal(["latin1.csv:2"], Api.Pointers(problem));
        await NothingIsLeftOf("refused latin1", content);
    }

    [Fact]
    public async Task A_form_that_is_none_is_told_so()
    {
        await Api.Read(await api.Http.PostAsync("/datasets", new StringContent("a"), Api.Cancel), HttpStatusCode.UnsupportedMediaType);
        using var nothing = new MultipartFormDataContent { { new StringContent("x"), "name" } };
        Assert.Equal(["file"], Api.Pointers(await Api.Read(await api.Http.PostAsync("/datasets", nothing, Api.Cancel), HttpStatusCode.UnprocessableEntity)));
        const string First = "text,label\nfirst of two,1\n";
        using var two = Api.Form("a.csv", Encoding.UTF8.GetBytes(First), "refused pair");
        two.Add(new StringContent(Csv), "file", "b.csv");
        await Api.Read(await api.Http.PostAsync("/datasets", two, Api.Cancel), HttpStatusCode.UnprocessableEntity);
        await NothingIsLeftOf("refused pair", Encoding.UTF8.GetBytes(First));
    }

    [Fact]
    public async Task A_form_that_ends_in_the_middle_is_refused_and_leaves_nothing()
    {
        var content = new ByteArrayContent("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"half.csv\"\r\n\r\ntext,label\nhalf,1\n"u8.ToArray());
        content.Headers.ContentType = MediaTypeHeaderValue.Parse("multipart/form-data; boundary=b");

        await Api.Read(await api.Http.PostAsync("/datasets", content, Api.Cancel), HttpStatusCode.BadRequest);

        await NothingIsLeftOf("half.csv", "text,label\nhalf,1\n"u8.ToArray());
    }

    [Fact]
    public async Task A_connection_that_breaks_in_the_middle_leaves_nothing()
    {
        const string Rows = "text,label\ninterrupted,1\n";
        using (var client = new TcpClient(api.Http.BaseAddress!.Host, api.Http.BaseAddress.Port))
        {
            var start = $"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"interrupted.csv\"\r\n\r\n{Rows}";
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
                $"POST /datasets HTTP/1.1\r\nAuthorization: Bearer {Api.Key}\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n{start}"), Api.Cancel);
            while (!IsOnDisk(Rows))
                await Task.Delay(10, Api.Cancel);
            client.Client.LingerState = new(true, 0); // A reset, as when a client dies.
        }

        while (IsOnDisk(Rows))
            await Task.Delay(10, Api.Cancel);
        await NothingIsLeftOf("interrupted.csv", Encoding.UTF8.GetBytes(Rows));
    }

    [Fact]
    public async Task A_file_beyond_the_limit_is_refused()
    {
        await api.Upload("large.csv", "text,label\n" + new string('a', 2_000_000), "large", HttpStatusCode.RequestEntityTooLarge);

        await NothingIsLeftOf("large", Encoding.UTF8.GetBytes("text,label\n" + new string('a', 2_000_000)));
    }

    [Fact]
    public async Task Names_of_clients_never_become_paths()
    {
        var made = await api.Upload("../../../../tmp/evil.csv", Csv, "../../evil");

        Assert.Equal("evil.csv", (string)made["file_name"]!);
        Assert.Equal([$"{made["id"]}.csv"], Directory.EnumerateFiles(api.Data, "*", SearchOption.AllDirectories).Select(Path.GetFileName).Where(file => file!.Contains((string)made["id"]!)));
        Assert.Empty(Directory.EnumerateFiles(api.Data, "*evil*", SearchOption.AllDirectories));
    }

    [Fact]
    public void Drafts_of_a_process_that_died_are_swept_after_a_day()
    {
        var storage = new FineTuneService.Storage.StorageSettings { DataDirectory = Path.Combine(api.Data, "swept") };
        var (old, young, dataset) = (InFolder(".draft-ds_1.csv"), InFolder(".draft-ds_2.csv"), InFolder("ds_3.csv"));
        foreach (var file in new[] { old, dataset })
            File.SetLastWriteTimeUtc(file, TimeProvider.System.GetUtcNow().UtcDateTime.AddDays(-2));

        DatasetDraft.Sweep(storage, TimeProvider.System);

        Assert.Equal((false, true, true), (File.Exists(old), File.Exists(young), File.Exists(dataset)));

        string InFolder(string name)
        {
            var path = Path.Combine(Directory.CreateDirectory(storage.DatasetsDirectory).FullName, name);
            File.WriteAllText(path, "");
            return path;
        }
    }

    [Fact]
    public async Task The_list_is_read_page_by_page()
    {
        var made = new List<string>();
        for (var i = 0; i < 3; i++)
            made.Add((string)(await api.Upload("page.csv", Csv, "page"))["id"]!);

        var (found, after) = (new List<string>(), "");
        JsonObject page;
        do
        {
            page = await api.Get($"/datasets?limit=2{after}");
            Assert.InRange(page["data"]!.AsArray().Count, 1, 2);
            found.AddRange(page["data"]!.AsArray().Select(dataset => (string)dataset!["id"]!));
            after = $"&after={page["next_after"]}";
        }
        while ((bool)page["has_more"]!);

        Assert.Equal(found.OrderDescending(StringComparer.Ordinal), found);
        Assert.Equal(found.Distinct(), found);
        Assert.Superset(made.ToHashSet(), found.ToHashSet());
    }

    [Fact]
    public async Task A_dataset_is_deleted_unless_a_job_uses_it()
    {
        var free = (string)(await api.Upload("free.csv", Csv))["id"]!;
        Assert.Equal(HttpStatusCode.NoContent, (await api.Http.DeleteAsync($"/datasets/{free}", Api.Cancel)).StatusCode);
        await api.Get($"/datasets/{free}", HttpStatusCode.NotFound);
        Assert.Empty(Directory.EnumerateFiles(api.Data, $"{free}*", SearchOption.AllDirectories));
        await Api.Read(await api.Http.DeleteAsync($"/datasets/{free}", Api.Cancel), HttpStatusCode.NotFound);

        var used = (string)(await api.Get($"/jobs/{await api.PostJob()}"))["spec"]!["dataset"]!["train"]!;
        await Api.Read(await api.Http.DeleteAsync($"/datasets/{used}", Api.Cancel), HttpStatusCode.Conflict);
        await api.Get($"/datasets/{used}");
    }

    private async Task NothingIsLeftOf(string name, params byte[] content)
    {
        Assert.DoesNotContain((await api.Get("/datasets?limit=200"))["data"]!.AsArray(), dataset => (string)dataset!["name"]! == name);
        Assert.DoesNotContain(Contents(), file => file.AsSpan().SequenceEqual(content));
    }

    private bool IsOnDisk(string content) => Contents().Any(file => file.AsSpan().SequenceEqual(Encoding.UTF8.GetBytes(content)));

    private IEnumerable<byte[]> Contents()
    {
        foreach (var file in Directory.EnumerateFiles(Directory.CreateDirectory(api.Storage.DatasetsDirectory).FullName))
        {
            byte[] content;
            try
            {
                content = File.ReadAllBytes(file);
            }
            catch (FileNotFoundException)
            {
                continue; // Another test's draft, renamed meanwhile.
            }
            yield return content;
        }
    }
}
