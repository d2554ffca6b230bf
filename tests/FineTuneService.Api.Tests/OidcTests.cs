using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.IdentityModel.Tokens;

namespace FineTuneService.Api.Tests;

/// <summary>Tokens of an OpenID provider, beside keys.</summary>
public sealed class OidcTests(Api api, OidcTests.Trusting trusting) : IClassFixture<OidcTests.Trusting>
{
    private const string Audience = "finetune";

    private readonly OidcProvider _provider = trusting.Provider;
    private readonly OwnApi _own = trusting.Service;

    [Fact]
    public async Task A_token_tells_project_and_scopes()
    {
        var project = (string)(await api.Post("/projects", """{"name": "by token"}""", HttpStatusCode.Created))["id"]!;
        var client = _own.Client(OidcProvider.Sign(Token(project, "openid jobs:read datasets:write superuser")));

        var me = await Api.Read(await client.GetAsync("/me", Api.Cancel), HttpStatusCode.OK);
        await Api.Read(await client.PostAsync("/datasets", Api.Form("rows.csv", "text,label\na,1\n"u8.ToArray()), Api.Cancel), HttpStatusCode.Created);
        await Api.Read(await client.GetAsync("/jobs", Api.Cancel), HttpStatusCode.OK);
        await Api.Read(await client.GetAsync("/projects", Api.Cancel), HttpStatusCode.Forbidden);
        await Api.Read(await client.PostAsync("/jobs", new StringContent("{}", Encoding.UTF8, "application/json"), Api.Cancel), HttpStatusCode.Forbidden);

        Assert.Contains(project, me.ToJsonString());
        Assert.DoesNotContain("openid", me.ToJsonString());
        Assert.DoesNotContain("superuser", me.ToJsonString());
        var entry = (await api.Get($"/audit?project={project}"))["data"]!.AsArray().Last(entry => (int)entry!["status"]! == 201)!;
        Assert.Equal("ada", (string?)entry["caller"]);
    }

    [Fact]
    public async Task Scopes_may_come_one_by_one_and_admin_counts()
    {
        var token = Token("default", null);
        token.Claims["scope"] = new[] { "admin", "profile" };

        await Api.Read(await _own.Client(OidcProvider.Sign(token)).GetAsync("/projects", Api.Cancel), HttpStatusCode.OK);
    }

    [Fact]
    public async Task Keys_work_beside_tokens()
    {
        await Api.Read(await _own.Client(Api.Key).GetAsync("/projects", Api.Cancel), HttpStatusCode.OK);
        await Api.Read(await _own.Client("ft_" + new string('x', 43)).GetAsync("/projects", Api.Cancel), HttpStatusCode.Unauthorized);
        await Api.Read(await _own.Client(null).GetAsync("/projects", Api.Cancel), HttpStatusCode.Unauthorized);
    }

    [Theory]
    [InlineData("sound", HttpStatusCode.OK)]
    [InlineData("for another service")]
    [InlineData("of another provider")]
    [InlineData("expired")]
    [InlineData("not valid yet")]
    [InlineData("without an end")]
    [InlineData("signed with an unknown key")]
    [InlineData("signed with an unknown key of the known name")]
    [InlineData("signed with the public key as a secret")]
    [InlineData("unsigned")]
    [InlineData("with its signature cut off")]
    [InlineData("with other claims than were signed")]
    [InlineData("without a project")]
    [InlineData("with an empty project")]
    [InlineData("without a subject")]
    [InlineData("garbage")]
    public async Task Only_sound_tokens_come_in(string kind, HttpStatusCode expected = HttpStatusCode.Unauthorized)
    {
        var now = TimeProvider.System.GetUtcNow().UtcDateTime;
        var token = Token(kind == "with an empty project" ? "" : "default", "admin");
        switch (kind)
        {
            case "for another service":
                token.Audience = "payroll";
                break;
            case "of another provider":
                token.Issuer = "https://login.example.org";
                break;
            case "expired":
                (token.NotBefore, token.Expires) = (now.AddHours(-2), now.AddMinutes(-5));
                break;
            case "not valid yet":
                token.NotBefore = now.AddMinutes(5);
                break;
            case "without an end":
                token.Expires = null;
                break;
            case "signed with an unknown key":
                token.SigningCredentials = new(OidcProvider.NewKey(), SecurityAlgorithms.RsaSha256);
                break;
            case "signed with an unknown key of the known name":
                token.SigningCredentials = new(new RsaSecurityKey(OidcProvider.NewKey().Rsa) { KeyId = _provider.Signature.Kid }, SecurityAlgorithms.RsaSha256);
                break;
            case "signed with the public key as a secret":
                var published = Encoding.UTF8.GetBytes(await _own.Client(null).GetStringAsync($"{_provider.Issuer}/keys", Api.Cancel));
                token.SigningCredentials = new(new SymmetricSecurityKey(published) { KeyId = _provider.Signature.Kid }, SecurityAlgorithms.HmacSha256);
                break;
            case "without a project":
                token.Claims.Remove("finetune_project");
                break;
            case "without a subject":
                token.Claims.Remove("sub");
                break;
        }
        var text = OidcProvider.Sign(token);
        var parts = text.Split('.');
        text = kind switch
        {
            "unsigned" => $"{Base64UrlEncoder.Encode("""{"alg":"none","typ":"JWT"}""")}.{parts[1]}.",
            "with its signature cut off" => $"{parts[0]}.{parts[1]}.",
            "with other claims than were signed" => $"{parts[0]}.{Base64UrlEncoder.Encode(With(Base64UrlEncoder.Decode(parts[1]), "sub", "eve"))}.{parts[2]}",
            "garbage" => "a.b.c",
            _ => text,
        };

        await Api.Read(await _own.Client(text).GetAsync("/projects", Api.Cancel), expected);
    }

    private SecurityTokenDescriptor Token(string project, string? scopes)
    {
        var now = TimeProvider.System.GetUtcNow().UtcDateTime;
        return new()
        {
            Issuer = _provider.Issuer,
            Audience = Audience,
            NotBefore = now.AddMinutes(-1),
            Expires = now.AddMinutes(5),
            SigningCredentials = _provider.Signature,
            Claims = new Dictionary<string, object> { ["sub"] = "ada", ["finetune_project"] = project, ["scope"] = scopes ?? "" },
        };
    }

    private static string With(string json, string name, string value)
    {
        var claims = JsonNode.Parse(json)!.AsObject();
        claims[name] = value;
        return claims.ToJsonString();
    }

    /// <summary>A provider, and a service that trusts it.</summary>
    public sealed class Trusting(Api api) : IAsyncLifetime
    {
        internal OidcProvider Provider { get; private set; } = null!;

        internal OwnApi Service { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Provider = await OidcProvider.Start();
            Service = await OwnApi.Start(api, ("Access__Oidc__Authority", Provider.Issuer), ("Access__Oidc__Audience", Audience), ("Access__Oidc__RequireHttps", "false"));
        }

        public async ValueTask DisposeAsync()
        {
            await Service.DisposeAsync();
            await Provider.DisposeAsync();
        }
    }
}
